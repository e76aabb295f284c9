"""The worker of type `octa`: flow runs of its work pool execute on rented machines.

A machine belongs to its flow run, not to the worker: a worker that stops, or dies, leaves it running, and the next one
of the pool finds it by its rental key, follows it to its end, and stops it.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.exceptions import PrefectException
from prefect.workers.base import BaseWorker, BaseWorkerResult

from octa_provider.errors import OctaError
from octa_provider.job.state import JobState
from prefect_blocks.behind_the_call import go_on_behind
from prefect_blocks.flow_run_machine import FlowRunMachine
from prefect_blocks.flow_run_starts import FlowRunStarts
from prefect_blocks.flow_run_state import read_state
from prefect_blocks.flow_run_states import FlowRunStates
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.job_variables import check_values
from prefect_blocks.killed_machines import KilledMachines
from prefect_blocks.left_look import LeftLook
from prefect_blocks.logo import LOGO_URL
from prefect_blocks.private_names import check_private_names
from prefect_blocks.unfollowed_machines import UnfollowedMachine, claim_machine, find_left_by_workers
from prefect_blocks.worker_configuration import OctaJobConfiguration, OctaJobVariables
from prefect_blocks.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun
    from prefect.futures import PrefectFlowRunFuture

    from octa_provider import OctaClient

__all__ = ["OctaWorker", "OctaWorkerResult"]

check_private_names()

#: Requests that go on at the same time, each in a thread.
THREADS = 100


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
        self._is_to_stay = False
        self._followed: set[UUID] = set()
        self._killed = KilledMachines()
        self._left = LeftLook(self._follow_soon, self._begin_soon)
        self._why: dict[UUID, str] = {}
        self._in_thread = WorkerThreads(THREADS)
        self._states = FlowRunStates()

    async def setup(self) -> None:
        """Connect; then look, now and at every heartbeat, for what other workers of this pool have left.

        That is machines that no worker follows, and flow runs whose worker ended before it rented anything. A worker
        that only submits a flow, and is closed then, does not look: it would wait for machines of others.
        """
        await super().setup()
        assert self._runs_task_group is not None
        if self._is_to_stay:
            self._runs_task_group.start_soon(self._keep_looking)

    async def start(self, *args: Any, **kwargs: Any) -> None:
        """Serve the work pool until it is told to stop, as `prefect worker start` does.

        Args:
            args: Prefect's.
            kwargs: the same by name.
        """
        self._is_to_stay = True
        await super().start(*args, **kwargs)

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

        Returns:
            Exit status 0 where the flow run has told its end itself, or was cancelled; else the process's.

        Raises:
            OctaError: nothing could be rented; the worker marks the flow run as crashed, with the reason.
        """
        status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED if task_status is None else task_status
        self._followed.add(flow_run.id)
        try:
            with configuration.account().get_client() as client:
                machine = self._machine_of(client, flow_run, configuration)
                state = await machine.rent()
                if state is None:
                    # There is no infrastructure to tell of, and Prefect leaves a run alone that is being submitted.
                    status.started(None)
                    return OctaWorkerResult(identifier="none", status_code=0)
                status.started(str(InfrastructurePid.of(state)))
                return await self._follow(machine, flow_run, state)
        finally:
            self._followed.discard(flow_run.id)

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: OctaJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """Stop the machine, and return when it has been seen gone.

        Args:
            infrastructure_pid: what `run` told, `<uuid>/<rental key>`.
            configuration: the flow run's job variables; they name the account.
            grace_seconds: Prefect's; a machine that is stopped gives its process none.

        Raises:
            InfrastructureNotFound: it is gone already.
            InfrastructureNotAvailable: the id is none of an `octa` worker.
            OctaStopError: it could not be stopped in time, and may still bill.
        """
        await self._killed.kill(infrastructure_pid, configuration, self._in_thread)

    async def _initiate_run(self, flow_run: FlowRun, configuration: OctaJobConfiguration) -> None:
        """Rent the machine and return, for `submit`, whose worker is closed then: another one follows the machine."""
        with configuration.account().get_client() as client:
            state = await self._machine_of(client, flow_run, configuration).rent()
        if state is None:
            return
        pid = InfrastructurePid.of(state)
        # First of all: whatever becomes of the rest, the machine is followed.
        go_on_behind(partial(self._follow_alone, self._work_pool_name, UnfollowedMachine(flow_run, configuration, pid)))
        await self.client.update_flow_run(flow_run.id, infrastructure_pid=str(pid))

    @classmethod
    async def _follow_alone(cls, pool_name: str, machine: UnfollowedMachine) -> None:
        # What is begun in a worker is waited for when it is closed.
        async with cls(work_pool_name=pool_name) as worker:
            worker._follow_soon(machine)

    async def submit(
        self,
        flow: Flow[..., Any],
        parameters: dict[str, Any] | None = None,
        job_variables: dict[str, Any] | None = None,
        flow_run: FlowRun | None = None,
    ) -> PrefectFlowRunFuture[Any]:
        """As Prefect's; a job variable that is none, or whose value can't work, is refused before there is a flow run.

        Args:
            flow: what to run.
            parameters: for it.
            job_variables: what it needs of its machine.
            flow_run: one to try again.

        Returns:
            The flow run, to wait for.

        Raises:
            OctaConfigError: a job variable that the work pool does not have, one that can't work, or an account or a
                secret that is a value.
        """
        await check_values(self.work_pool, job_variables or {}, self.client)
        return await super().submit(flow, parameters, job_variables, flow_run)

    async def _propose_crashed_state(
        self, flow_run: FlowRun, message: str, client: PrefectClient | None = None
    ) -> None:
        """As Prefect does it, but with our reason, and never over the end that the flow run itself has told."""
        error = sys.exc_info()[1]
        if isinstance(error, OctaError):
            message = f"Nothing was rented: {error}"
        seen = await read_state(self.client, flow_run.id)
        if not seen.known or (seen.state is not None and not seen.state.is_final()):
            await super()._propose_crashed_state(flow_run, self._why.pop(flow_run.id, message), client)

    # -- one machine ---------------------------------------------------------------------------------------------

    def _machine_of(self, client: OctaClient, flow_run: FlowRun, configuration: OctaJobConfiguration) -> FlowRunMachine:
        logger = self.get_flow_run_logger(flow_run)
        return FlowRunMachine(
            FlowRunStarts(
                client, self.client, self._states, flow_run, configuration, logger, self._in_thread, self.name
            )
        )

    async def _follow(self, machine: FlowRunMachine, flow_run: FlowRun, state: JobState) -> OctaWorkerResult:
        """See a machine to its end, and say what that means to Prefect."""
        pid = InfrastructurePid.of(state)
        result = await machine.follow(state)
        if result is None or self._killed.forget(pid.key) or result.succeeded:
            return OctaWorkerResult(identifier=str(pid), status_code=0)
        self._why[flow_run.id] = machine.tell_failure(result)
        return OctaWorkerResult(identifier=str(pid), status_code=result.exit_code or 1)

    # -- what other workers have left ------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        with anyio.CancelScope() as scope:
            # The base class cancels these when it shuts down.
            self._scheduled_task_scopes.add(scope)
            while True:
                try:
                    await self._look()
                except (httpx.HTTPError, OctaError, PrefectException) as error:
                    self._logger.warning("can't look for what other workers have left now: %s", error)
                except Exception:
                    # Whatever it is, it must not end the worker.
                    self._logger.exception("looking for what other workers have left")
                await anyio.sleep(self.heartbeat_interval_seconds)

    async def _look(self) -> None:
        if self._work_pool is None:
            return
        pool = self._work_pool.model_copy(deep=True)
        busy = frozenset(self._followed | self._submitting_flow_run_ids)
        left = await find_left_by_workers(self.client, pool, self.name, self.job_configuration, busy, self._in_thread)
        queues = None if pool.is_paused else self._work_queues
        await self._left.act_on(self.client, left, followed=self._followed, queues=queues)

    async def _begin_soon(self, run: FlowRun) -> bool:
        if run.id not in self._submitting_flow_run_ids | self._followed:
            # As if the server had just handed it out, with all that Prefect does then.
            await self._submit_scheduled_flow_runs([WorkerFlowRunResponse.model_construct(flow_run=run)])
        # If not, this worker has as many as it may have.
        return run.id in self._submitting_flow_run_ids

    async def _propose_pending_state(self, flow_run: FlowRun) -> bool:
        """As Prefect does it; one that a worker before this one took is pending, and Prefect would refuse it."""
        if not self._left.has_taken(flow_run):
            return await super()._propose_pending_state(flow_run)
        return await self._left.claim(self.client, flow_run, self.name, self.get_flow_run_logger(flow_run))

    def _follow_soon(self, machine: UnfollowedMachine) -> None:
        assert self._runs_task_group is not None
        self._followed.add(machine.flow_run.id)
        self._runs_task_group.start_soon(self._follow_to_its_end, machine)

    async def _follow_to_its_end(self, machine: UnfollowedMachine) -> None:
        flow_run, configuration, pid = machine.flow_run, machine.configuration, machine.pid
        # Other workers see that it has one again; the machine does not wait for that.
        claiming = asyncio.create_task(claim_machine(self.client, machine, self.name))
        try:
            self._logger.info("Following session %s of flow run %s to its end", pid.uuid, flow_run.id)
            with configuration.account().get_client() as client:
                of_flow_run = self._machine_of(client, flow_run, configuration)
                result = await self._follow(of_flow_run, flow_run, await of_flow_run.find(pid))
            if result.status_code != 0:
                await self._propose_crashed_state(flow_run, "The machine ended without ending the flow run.")
        except Exception:
            # The next look finds it again.
            self._logger.exception("following session %s of flow run %s", pid.uuid, flow_run.id)
        finally:
            claiming.cancel()
            self._followed.discard(flow_run.id)
