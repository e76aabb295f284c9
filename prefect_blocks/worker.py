"""The worker of type `octa`: flow runs of its work pool execute on rented machines.

A machine belongs to its flow run, not to the worker: a worker that stops, or dies, leaves it running, and the next one
of the pool finds it by its rental key, follows it to its end, and stops it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, PrefectException
from prefect.states import Cancelled
from prefect.workers.base import BaseWorker, BaseWorkerResult

from octa_provider.errors import OctaCancelledError, OctaError
from octa_provider.job.state import JobPhase, JobState
from octa_provider.remote.target import check_key, ssh_key
from octa_provider.rental.session_text import session_text
from octa_provider.wire.money import usd_text
from prefect_blocks.cancel_grace import CancelGrace
from prefect_blocks.events import emit
from prefect_blocks.flow_run_begin import begin_flow_run, is_left
from prefect_blocks.flow_run_state import read_state, watch_state
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.logo import LOGO_URL
from prefect_blocks.rental_key import worker_key
from prefect_blocks.unfollowed_machines import WORKER_LABEL, UnfollowedMachine, find_unfollowed_machines
from prefect_blocks.worker_configuration import OctaJobConfiguration, OctaJobVariables

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from prefect.client.schemas.objects import FlowRun

    from octa_provider import OctaClient

__all__ = ["OctaWorker", "OctaWorkerResult"]

T = TypeVar("T")

#: Requests that go on at the same time, each in a thread.
THREADS = 100
TAIL_LINES = 30


class OctaWorkerResult(BaseWorkerResult):
    """How a flow run's machine ended; `identifier` is what its `infrastructure_pid` was."""


class OctaWorker(BaseWorker[OctaJobConfiguration, OctaJobVariables, OctaWorkerResult]):
    """Runs flow runs on rented machines: `prefect worker start --pool POOL --type octa`."""

    type = "octa"
    job_configuration = OctaJobConfiguration
    job_configuration_variables = OctaJobVariables
    _display_name = "OctaSpace"
    _description = "Execute flow runs on GPU machines rented on OctaSpace. Requires an OctaSpace account."
    _documentation_url = "https://octa.space"
    _logo_url = LOGO_URL

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._followed: set[UUID] = set()
        self._killed: set[str] = set()
        self._missed: set[UUID] = set()
        self._why: dict[UUID, str] = {}
        self._threads = anyio.CapacityLimiter(THREADS)

    async def setup(self) -> None:
        """Connect; then look, now and at every heartbeat, for machines of this pool that no worker follows."""
        await super().setup()
        assert self._runs_task_group is not None
        self._runs_task_group.start_soon(self._follow_left_machines)

    async def teardown(self, *exc_info: Any) -> None:
        """Disconnect. Machines are left to the next worker, unless this one ends by an error.

        Prefect ends a worker that has asked its server in vain for some minutes: there may be no next one for long.
        """
        kind = exc_info[0] if exc_info else None
        if self._followed and isinstance(kind, type) and issubclass(kind, Exception):
            self._logger.warning(
                "This worker ends by an error (%s); its %d machines are seen to their end first",
                kind.__name__,
                len(self._followed),
            )
            exc_info = (None, None, None)
        await super().teardown(*exc_info)

    async def run(
        self, flow_run: FlowRun, configuration: OctaJobConfiguration, task_status: TaskStatus[Any] | None = None
    ) -> OctaWorkerResult:
        """Rent a machine for a flow run, follow it to its end, and stop it.

        Args:
            flow_run: the flow run.
            configuration: its job variables, prepared.
            task_status: told `<uuid>/<rental key>` as soon as the session is known.

        Raises:
            OctaError: nothing could be rented; the worker marks the flow run as crashed, with the reason.
        """
        status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED if task_status is None else task_status
        self._followed.add(flow_run.id)
        try:
            with configuration.account().get_client() as client:
                try:
                    state = await self._start(client, flow_run, configuration)
                except OctaCancelledError:
                    # There is no infrastructure to tell of, and Prefect leaves a run alone that is being submitted.
                    await self._mark_as_cancelled(flow_run.id, "Cancelled while its machine was being rented.")
                    status.started(None)
                    return OctaWorkerResult(identifier="none", status_code=0)
                status.started(str(InfrastructurePid.of(state)))
                return await self._follow(client, flow_run, configuration, state)
        finally:
            self._followed.discard(flow_run.id)

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: OctaJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """Stop the machine, and return when it has been seen gone.

        Raises:
            InfrastructureNotFound: it is gone already.
            InfrastructureNotAvailable: the id is none of an `octa` worker.
        """
        pid = InfrastructurePid.read(infrastructure_pid)
        if pid is None:
            raise InfrastructureNotAvailable(f"{infrastructure_pid!r} is not a machine of an octa worker")
        with configuration.account().get_client() as client:
            if not await self._in_thread(partial(pid.is_active, client)):
                raise InfrastructureNotFound(f"session {pid.uuid} has ended already")
            self._killed.add(pid.uuid)
            rental = pid.rental(client)
            try:
                bill = await self._in_thread(rental.stop)
            except OctaError:
                # It may end by itself later, and that is a crash.
                self._killed.discard(pid.uuid)
                raise
            emit("stopped", rental, flow_run_id=pid.flow_run_id, **bill.to_dict())

    async def _initiate_run(self, flow_run: FlowRun, configuration: OctaJobConfiguration) -> None:
        """Rent the machine and return, for `submit`; the machine is followed behind the caller's back."""
        with configuration.account().get_client() as client:
            try:
                pid = InfrastructurePid.of(await self._start(client, flow_run, configuration))
            except OctaCancelledError:
                await self._mark_as_cancelled(flow_run.id, "Cancelled while its machine was being rented.")
                return
        # First of all: whatever becomes of the rest, the machine is followed.
        self._follow_soon(UnfollowedMachine(flow_run, configuration, pid))
        await self.client.update_flow_run(flow_run.id, infrastructure_pid=str(pid))

    async def _propose_crashed_state(
        self, flow_run: FlowRun, message: str, client: PrefectClient | None = None
    ) -> None:
        """As Prefect does it, but with our reason, and never over the end that the flow run itself has told."""
        seen = await read_state(self.client, flow_run.id)
        if not seen.known or (seen.state is not None and not seen.state.is_final()):
            await super()._propose_crashed_state(flow_run, self._why.pop(flow_run.id, message), client)

    # -- one machine ---------------------------------------------------------------------------------------------

    async def _start(self, client: OctaClient, flow_run: FlowRun, configuration: OctaJobConfiguration) -> JobState:
        """Rent; when the flow run is cancelled meanwhile, give up with OctaCancelledError and leave nothing."""
        spec, key = configuration.spec(), worker_key(flow_run.id, flow_run.run_count)
        private_key = ssh_key(configuration.account().private_key)
        if spec.over_ssh:
            check_key(private_key)
        given_up = threading.Event()
        async with watch_state(self.client, flow_run.id, configuration.poll_s, given_up.set):
            start = partial(client.jobs.start, spec, key, private_key=private_key, is_cancelled=given_up.is_set)
            state = await self._in_thread(start)
        rental = client.rentals.restore(state.rental)
        emit("adopted" if rental.adopted else "started", rental, flow_run_id=flow_run.id, price_usd=rental.price_usd)
        logger = self.get_flow_run_logger(flow_run)
        logger.info("Session %s, rental key %s", session_text(rental), rental.key)
        return state

    async def _follow(
        self, client: OctaClient, flow_run: FlowRun, configuration: OctaJobConfiguration, state: JobState
    ) -> OctaWorkerResult:
        """See a machine to its end, and stop it. A worker that is shut down meanwhile leaves it to the next one."""
        pid = InfrastructurePid.of(state)
        rental = client.rentals.restore(state.rental)
        logger = self.get_flow_run_logger(flow_run)
        private_key = ssh_key(configuration.account().private_key)
        patience = CancelGrace(configuration.cancel_grace_s)
        tail: deque[str] = deque(maxlen=TAIL_LINES)

        def show(line: str) -> None:
            tail.append(line)
            if configuration.stream_output:
                print(line, flush=True)

        async with watch_state(self.client, flow_run.id, configuration.poll_s) as seen:
            while not state.ended:
                # On a machine that is coming up there is no process yet that could end itself.
                is_begun = state.phase not in (JobPhase.STARTING, JobPhase.READY)
                idle = not is_begun and seen.state is not None and seen.is_over
                if seen.known and (idle or patience.is_over(seen.state, time.monotonic())):
                    logger.warning("The flow run is over and its process is not: session %s is stopped", pid.uuid)
                    bill = await self._in_thread(rental.stop)
                    emit("stopped", rental, flow_run_id=flow_run.id, **bill.to_dict())
                    logger.info(_stopped(pid, bill.duration_s, bill.charge_usd))
                    await self._mark_as_cancelled(
                        flow_run.id, "Cancelled; its process did not end in time, so the worker stopped its machine."
                    )
                    return OctaWorkerResult(identifier=str(pid), status_code=0)
                poll = partial(client.jobs.poll, state, private_key=private_key, on_line=show, is_cancelled=is_left)
                state = await self._in_thread(poll)
                if state.phase is JobPhase.READY:
                    state = await self._in_thread(partial(begin_flow_run, client, state, configuration, private_key))
                if not state.ended:
                    await anyio.sleep(configuration.poll_s)
        result = await self._in_thread(partial(client.jobs.finish, state))
        emit("ended", rental, flow_run_id=flow_run.id, outcome=result.outcome.value, cost_usd=result.cost_usd)
        logger.info(_stopped(pid, result.duration_s, result.cost_usd))
        if result.succeeded or pid.uuid in self._killed:
            self._killed.discard(pid.uuid)
            return OctaWorkerResult(identifier=str(pid), status_code=0)
        why = f"The machine's process is {result.outcome.value}: {result.message}"
        self._why[flow_run.id] = why
        # A flow that runs tells its log itself; what came before or instead of it is only here.
        logger.error("%s. Its last lines:\n%s", why, "\n".join(tail) or "(none)")
        return OctaWorkerResult(identifier=str(pid), status_code=result.exit_code or 1)

    async def _mark_as_cancelled(self, flow_run_id: UUID, message: str) -> None:
        """Tell the end of a flow run that is being cancelled; one that has told its end itself keeps it."""
        seen = await read_state(self.client, flow_run_id)
        if seen.state is None or not seen.state.is_cancelling():
            return
        try:
            await self.client.set_flow_run_state(flow_run_id, Cancelled(message=message), force=True)
        except (httpx.HTTPError, PrefectException) as error:
            self._logger.warning("flow run %s can't be marked as cancelled: %s", flow_run_id, error)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._threads)
        except OctaCancelledError:
            # Where the worker is being shut down, that is why, and no failure of the flow run's.
            await anyio.lowlevel.checkpoint_if_cancelled()
            raise

    # -- machines that nobody follows ----------------------------------------------------------------------------

    async def _follow_left_machines(self) -> None:
        with anyio.CancelScope() as scope:
            # The base class cancels these when it shuts down.
            self._scheduled_task_scopes.add(scope)
            while True:
                try:
                    await self._look_for_left_machines()
                except (httpx.HTTPError, OctaError, PrefectException) as error:
                    self._logger.warning("can't look for machines that nobody follows now: %s", error)
                except Exception:
                    # Whatever it is, it must not end the worker.
                    self._logger.exception("looking for machines that nobody follows")
                await anyio.sleep(self.heartbeat_interval_seconds)

    async def _look_for_left_machines(self) -> None:
        if self._work_pool is None:
            return
        pool = self._work_pool.model_copy(deep=True)
        found = await find_unfollowed_machines(
            self.client, pool, self.name, self.job_configuration, frozenset(self._followed), self._in_thread
        )
        # One that is not listed may only be too new: it must be missed twice.
        missed = {machine.flow_run.id for machine in found if not machine.listed}
        for machine in found:
            if machine.flow_run.id not in self._followed and (machine.listed or machine.flow_run.id in self._missed):
                self._follow_soon(machine)
        self._missed = missed

    def _follow_soon(self, machine: UnfollowedMachine) -> None:
        assert self._runs_task_group is not None
        self._followed.add(machine.flow_run.id)
        self._runs_task_group.start_soon(self._follow_left_machine, machine)

    async def _follow_left_machine(self, machine: UnfollowedMachine) -> None:
        flow_run, configuration, pid = machine.flow_run, machine.configuration, machine.pid
        # Other workers see that it has one again; the machine does not wait for that.
        claiming = asyncio.create_task(self._claim(flow_run.id))
        try:
            self._logger.info("Following session %s of flow run %s to its end", pid.uuid, flow_run.id)
            with configuration.account().get_client() as client:
                job_state = partial(
                    pid.job_state,
                    client,
                    timeout_s=configuration.max_duration_s,
                    ready_timeout_s=configuration.ready_timeout_s,
                    max_cost_usd=configuration.max_cost_usd,
                )
                state = await self._in_thread(job_state)
                result = await self._follow(client, flow_run, configuration, state)
            if result.status_code != 0:
                await self._propose_crashed_state(flow_run, "The machine ended without ending the flow run.")
        except Exception:
            # The next look finds it again.
            self._logger.exception("following session %s of flow run %s", pid.uuid, flow_run.id)
        finally:
            claiming.cancel()
            self._followed.discard(flow_run.id)

    async def _claim(self, flow_run_id: UUID) -> None:
        with suppress(httpx.HTTPError, PrefectException):
            await self.client.update_flow_run_labels(flow_run_id, {WORKER_LABEL: self.name})


def _stopped(pid: InfrastructurePid, duration_s: float | None, cost_usd: float | None) -> str:
    cost = "" if cost_usd is None else f", {usd_text(cost_usd)}"
    return f"Session {pid.uuid} was stopped after {duration_s} s{cost}"
