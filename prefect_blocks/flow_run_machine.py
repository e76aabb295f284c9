"""The machine of one flow run, as a worker sees to it: rented, followed to its end, and stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio
import anyio.from_thread
import msgspec

from octa_provider.errors import OctaCancelledError, OctaConfigError
from octa_provider.job.found import find_job
from octa_provider.job.look_pace import LookPace
from octa_provider.job.next_step import Begin, Step, Wait, next_step
from octa_provider.job.result import JobOutcome, JobResult
from octa_provider.job.state import JobPhase, JobState
from octa_provider.remote.target import check_key, ssh_key
from octa_provider.rental.leaving import Leaving
from octa_provider.rental.session_text import session_text
from octa_provider.watch.watcher import watcher_for
from octa_provider.wire.money import usd_text
from prefect_blocks.cancel_grace import CancelGrace
from prefect_blocks.events import emit
from prefect_blocks.flow_run_state import SeenState, mark_as_cancelled, watch_state
from prefect_blocks.infrastructure_pid import InfrastructurePid, is_begun_over_ssh
from prefect_blocks.rental_key import worker_key
from prefect_blocks.taken_over import is_taken_over

if TYPE_CHECKING:
    from prefect.blocks.abstract import LoggerOrAdapter
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from octa_provider import OctaClient
    from octa_provider.models import Session
    from prefect_blocks.worker_configuration import OctaJobConfiguration

__all__ = ["FlowRunMachine", "InThread"]

T = TypeVar("T")

TAIL_LINES = 30


class InThread(Protocol):
    """Runs blocking work in a thread of anyio's, for a coroutine."""

    def __call__(self, work: Callable[[], T], /, *, waits: bool = False) -> Awaitable[T]:
        """Run it.

        Args:
            work: what to run.
            waits: it mostly waits, for as long as it may take: it has a thread beside those of all others.
        """


class FlowRunMachine:
    """One flow run's machine. What comes next for it is the core's to say; this carries the steps out.

    Args:
        octa: the account's client; it stays open as long as this is used.
        prefect: Prefect's API.
        flow_run: whose machine it is.
        configuration: the flow run's job variables, prepared.
        logger: the flow run's.
        in_thread: runs blocking work; a worker that is shut down leaves it.
        worker_name: of the worker that sees to it.

    Attributes:
        last_lines: the last of what the machine printed, for whoever tells of its end.
    """

    def __init__(
        self,
        octa: OctaClient,
        prefect: PrefectClient,
        flow_run: FlowRun,
        configuration: OctaJobConfiguration,
        logger: LoggerOrAdapter,
        in_thread: InThread,
        worker_name: str,
    ) -> None:
        self.last_lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._octa = octa
        self._prefect = prefect
        self._flow_run = flow_run
        self._configuration = configuration
        self._logger = logger
        self._in_thread = in_thread
        self._worker_name = worker_name
        self._private_key = ssh_key(configuration.account().private_key)

    @property
    def lacking(self) -> str:
        """What the flow run was not given, in a sentence for whoever tells of its failure; empty for nothing."""
        return self._configuration.lacking

    async def rent(self) -> JobState | None:
        """Rent a machine, or adopt the one that the flow run has; does not wait for it to come up.

        Returns:
            Its job; None when the flow run was cancelled meanwhile: then nothing is rented, and it is marked.

        Raises:
            OctaError: nothing could be rented.
        """
        spec, key = self._configuration.spec(), worker_key(self._flow_run.id, self._flow_run.run_count)
        if spec.over_ssh:
            check_key(self._private_key)
        given_up, has_machine = threading.Event(), threading.Event()
        wait_s = self._configuration.wait_for_machine_s
        start = partial(
            self._octa.jobs.start,
            spec,
            key,
            private_key=self._private_key,
            is_cancelled=given_up.is_set,
            # A worker that leaves asks no further machine, and does not wait on: the next one begins the flow run. A
            # machine that there is by then is left to it as at any other time.
            leaving=Leaving(
                lambda: not has_machine.is_set() and _is_worker_leaving(), partial(self._is_taken_over, key)
            ),
            on_started=lambda rental: has_machine.set(),
            wait_for_machine_s=wait_s,
            on_waiting=partial(self._logger.info, "%s"),
        )
        try:
            async with watch_state(self._prefect, self._flow_run.id, self._configuration.poll_s, given_up.set):
                state = await self._in_thread(start, waits=wait_s > 0)
        except OctaCancelledError:
            await self._mark_as_cancelled("Cancelled while its machine was being rented.")
            return None
        rental = self._octa.rentals.restore(state.rental)
        self._emit("adopted" if rental.adopted else "started", state)
        self._logger.info("Session %s, rental key %s", session_text(rental), rental.key)
        return state

    async def find(self, pid: InfrastructurePid) -> JobState:
        """The job of a machine that another worker has rented for the flow run.

        Args:
            pid: what that worker has written down.

        Raises:
            OctaError: the sessions could not be listed.
        """
        terms = msgspec.structs.replace(pid.rental(self._octa).terms, max_cost_usd=self._configuration.max_cost_usd)
        return await self._in_thread(
            partial(
                find_job,
                self._octa,
                terms,
                timeout_s=self._configuration.max_duration_s,
                ready_timeout_s=self._configuration.ready_timeout_s,
                is_over_ssh=is_begun_over_ssh,
            )
        )

    async def follow(self, state: JobState) -> JobResult | None:
        """See the machine to its end, and stop it. A worker that is shut down meanwhile leaves it to the next one.

        Args:
            state: its job, from `rent` or `find`.

        Returns:
            What the job came to; None when the machine was stopped since its flow run is over.

        Raises:
            OctaStopError: it could not be stopped in time, and may still bill.
            OctaError: the key was refused.
        """
        clock, poll_s = self._octa.clock, self._configuration.poll_s
        grace = CancelGrace(self._configuration.cancel_grace_s)
        step: Step = Wait(clock.steady_time())
        async with watch_state(self._prefect, self._flow_run.id, poll_s) as seen:
            # All machines of the account that this worker follows share one list call, and a pace to read their logs.
            with watcher_for(self._octa, poll_s) as watcher:
                pace = LookPace(watcher, clock, poll_s)
                while isinstance(step, Begin | Wait):
                    if isinstance(step, Begin):
                        state = await self._in_thread(partial(self._begin, state))
                    else:
                        session = await self._until_due(pace, step, state, seen, grace)
                        if _has_to_go(state, seen, grace):
                            break
                        state = await self._in_thread(partial(self._look, state, session, pace.reads_log))
                    step = next_step(
                        state,
                        now=clock.steady_time(),
                        poll_s=poll_s,
                        # What the flow run has made is not the worker's to fetch.
                        collects=False,
                        is_begin_tried=isinstance(step, Begin),
                    )
            if isinstance(step, Wait):
                await self._stop(state)
                return None
        result = await self._in_thread(partial(self._octa.jobs.finish, state))
        self._emit("ended", state, result=result)
        self._emit("stopped", state, result=result)
        self._tell_stopped(state, result.duration_s, result.cost_usd)
        return result

    async def _until_due(
        self, pace: LookPace, step: Wait, state: JobState, seen: SeenState, grace: CancelGrace
    ) -> Session | None:
        """Wait until the machine is worth a look, or has to go; returns it as the shared list has shown it."""
        poll_s = self._configuration.poll_s
        if state.phase is JobPhase.READY:
            # It is up and could not be begun yet: that is tried again at the usual interval.
            await anyio.sleep(max(0.0, step.until - self._octa.clock.steady_time()))
            return None
        waiting = asyncio.ensure_future(pace.until_due(state))
        try:
            while not (waiting.done() or _has_to_go(state, seen, grace)):
                if seen.is_over:
                    # Its process has told Prefect its end, and is about to end itself.
                    pace.hurry()
                await asyncio.wait([waiting], timeout=poll_s)
            return waiting.result() if waiting.done() else None
        finally:
            waiting.cancel()

    async def _stop(self, state: JobState) -> None:
        rental = self._octa.rentals.restore(state.rental)
        self._logger.warning("The flow run is over and its process is not: session %s is stopped", rental.uuid)
        bill = await self._in_thread(rental.stop)
        self._emit("stopped", state, bill=bill, reason="its flow run is over")
        self._tell_stopped(state, bill.duration_s, bill.charge_usd)
        await self._mark_as_cancelled("Cancelled; its process did not end in time, so the worker stopped its machine.")

    async def _mark_as_cancelled(self, message: str) -> None:
        await mark_as_cancelled(self._prefect, self._flow_run.id, message)

    def _emit(self, happened: str, state: JobState, **payload: Any) -> None:
        rental = self._octa.rentals.restore(state.rental)
        emit(
            happened,
            rental,
            flow_run_id=self._flow_run.id,
            name=self._configuration.name,
            labels=self._configuration.labels,
            **payload,
        )

    def _tell_stopped(self, state: JobState, duration_s: float | None, cost_usd: float | None) -> None:
        cost = "" if cost_usd is None else f", {usd_text(cost_usd)}"
        self._logger.info("%s", f"Session {state.rental.uuid} was stopped after {duration_s} s{cost}")

    # -- in a thread ---------------------------------------------------------------------------------------------

    def _is_taken_over(self, key: str, uuid: str) -> bool:
        return anyio.from_thread.run(
            partial(
                is_taken_over,
                self._prefect,
                self._flow_run.id,
                self._worker_name,
                key=key,
                uuid=uuid,
                logger=self._logger,
            )
        )

    def _look(self, state: JobState, session: Session | None, reads_log: bool) -> JobState:
        return self._octa.jobs.poll(
            state,
            private_key=self._private_key,
            on_line=self._show,
            session=session,
            is_cancelled=_is_worker_leaving,
            reads_log=reads_log,
        )

    def _begin(self, state: JobState) -> JobState:
        """Begin the flow run over SSH; once however often it is asked for."""
        try:
            spec = self._configuration.spec()
        except OctaConfigError as error:
            # Its job variables were changed since it was rented: it must not wait, and bill, for ever.
            return state.ending(JobOutcome.FAILED, str(error))
        return self._octa.jobs.begin(state, spec, private_key=self._private_key, is_cancelled=_is_worker_leaving)

    def _show(self, line: str) -> None:
        self.last_lines.append(line)
        if self._configuration.stream_output:
            print(line, flush=True)


def _has_to_go(state: JobState, seen: SeenState, grace: CancelGrace) -> bool:
    """Whether the machine is to be stopped, since its flow run is over, or is to be."""
    if not seen.known:
        return False
    # On a machine that is coming up there is no process yet that could end itself.
    is_begun = state.phase not in (JobPhase.STARTING, JobPhase.READY)
    return (not is_begun and seen.state is not None and seen.is_over) or grace.is_over(seen.state, time.monotonic())


def _is_worker_leaving() -> bool:
    """In a thread of anyio's: whether the worker waits for it no more, since it is being shut down."""
    try:
        anyio.from_thread.check_cancelled()
    except asyncio.CancelledError:
        return True
    return False
