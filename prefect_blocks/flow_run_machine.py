"""The machine of one flow run, as a worker sees to it: rented, followed to its end, and stopped."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from octa_provider.errors import OctaConfigError
from octa_provider.job.found import find_job
from octa_provider.job.look_pace import LookPace
from octa_provider.job.next_step import Begin, StartElsewhere, Step, Wait, next_step
from octa_provider.job.result import JobOutcome, JobResult
from octa_provider.job.state import JobPhase, JobState
from octa_provider.text.plain_text import plain_words
from octa_provider.watch.watcher import watcher_for
from octa_provider.wire.money import usd_text
from prefect_blocks.cancel_grace import CancelGrace
from prefect_blocks.events import own_bill
from prefect_blocks.flow_run_starts import FlowRunStarts, is_worker_leaving
from prefect_blocks.flow_run_state import SeenState, read_state
from prefect_blocks.infrastructure_pid import InfrastructurePid, is_begun_over_ssh
from prefect_blocks.machine_output import FlowRunLog, MachineOutput
from prefect_blocks.secret_values import shown_values

if TYPE_CHECKING:
    from octa_provider.models import Session

__all__ = ["FlowRunMachine"]


class FlowRunMachine:
    """One flow run's machine. What comes next for it is the core's to say; this carries the steps out.

    Args:
        starts: starts it, and another one when it never comes up; has all that is known of the flow run.
    """

    def __init__(self, starts: FlowRunStarts) -> None:
        self._starts = starts
        self._octa = starts.octa
        self._prefect = starts.prefect
        self._flow_run = starts.flow_run
        self._configuration = configuration = starts.configuration
        self._logger = starts.logger
        self._in_thread = starts.in_thread
        self._private_key = starts.private_key
        self._is_found = False
        self._are_urls_told = False
        self._output = MachineOutput(
            starts.flow_run.name,
            shown_values(configuration.secret_envs),
            on_terminal=configuration.stream_output,
            log=FlowRunLog(starts.flow_run, time.monotonic) if configuration.log_output else None,
        )

    async def rent(self) -> JobState | None:
        """Rent a machine, or adopt the one that the flow run has: see `FlowRunStarts.first`."""
        state = await self._starts.first()
        if state is not None and state.rental.adopted:
            self._output.taken_over_by(self._starts.worker_name)
        return state

    async def find(self, pid: InfrastructurePid) -> JobState:
        """The job of a machine that another worker has rented for the flow run.

        Args:
            pid: what that worker has written down.

        Raises:
            OctaError: the sessions could not be listed.
        """
        self._is_found = True
        self._output.taken_over_by(self._starts.worker_name)
        terms = msgspec.structs.replace(pid.rental(self._octa).terms, max_cost_usd=self._configuration.max_cost_usd)
        return await self._in_thread(
            partial(
                find_job,
                self._octa,
                terms,
                timeout_s=self._configuration.max_duration_s,
                ready_timeout_s=self._configuration.ready_timeout_s,
                is_over_ssh=is_begun_over_ssh,
                start_attempts=self._configuration.start_attempts,
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
        # All machines of the account that this worker follows share one list call, and a pace to read their logs.
        with watcher_for(self._octa, poll_s) as watcher:
            pace = LookPace(watcher, clock, poll_s)
            # Once its process has told Prefect its end, it is about to end itself.
            async with self._starts.watch_state(lambda: pace.hurry("the flow run")) as seen:
                while isinstance(step, Begin | Wait | StartElsewhere):
                    if isinstance(step, Begin):
                        state = await self._in_thread(partial(self._begin, state, pace))
                    elif isinstance(step, StartElsewhere):
                        if (await read_state(self._prefect, self._flow_run.id)).is_over:
                            break
                        other = await self._starts.another(state)
                        if other is None:
                            return None
                        state, pace = other, LookPace(watcher, clock, poll_s)
                    else:
                        session = await self._until_due(pace, state, seen, grace)
                        if _has_to_go(state, seen, grace):
                            break
                        before, state = state, await self._in_thread(partial(self._look, state, session, pace))
                        if (
                            before.phase is JobPhase.STARTING
                            and state.phase is not JobPhase.STARTING
                            and not state.ended
                        ):
                            self._starts.tell("ready", state)
                        state = await self._seen_never_up(state)
                    step = next_step(
                        state,
                        now=clock.steady_time(),
                        poll_s=poll_s,
                        # What the flow run has made is not the worker's to fetch.
                        collects=False,
                        is_begin_tried=isinstance(step, Begin),
                        may_start_elsewhere=True,
                    )
            if isinstance(step, Wait | StartElsewhere):
                await self._stop(state)
                return None
        result = await self._in_thread(partial(self._octa.jobs.finish, state))
        self._output.ended()
        self._starts.tell("ended", state, result=result)
        self._starts.tell("stopped", state, result=result, bill=own_bill(result))
        self._tell_stopped(state, result.duration_s, result.cost_usd)
        return result

    def tell_failure(self, result: JobResult) -> str:
        """Tell the flow run's log why its process has failed, with its last lines; returns why.

        Args:
            result: what the job came to.
        """
        why = f"The machine's process is {result.outcome.value}: {result.message}"
        if self._configuration.lacking:
            why += f"; {self._configuration.lacking}"
        # A flow that runs tells its log itself; what came before or instead of it is only here.
        self._logger.error("%s. Its last lines:\n%s", why, "\n".join(self._output.last_lines) or "(none)")
        return why

    async def _seen_never_up(self, state: JobState) -> JobState:
        """Of a machine that another worker had, and that is gone: it never came up where its flow run has not begun.

        That worker has stopped it, to start another one, and has ended before it could.
        """
        if not self._is_found or state.outcome is not JobOutcome.LOST or state.never_up or state.start_attempts == 1:
            return state
        seen = await read_state(self._prefect, self._flow_run.id)
        return state.having(never_up=seen.state is not None and seen.state.is_pending())

    async def _until_due(self, pace: LookPace, state: JobState, seen: SeenState, grace: CancelGrace) -> Session | None:
        """Wait until the machine is worth a look, or has to go; returns it as the shared list has shown it."""
        waiting = asyncio.ensure_future(pace.until_due(state))
        try:
            while not (waiting.done() or _has_to_go(state, seen, grace)):
                await asyncio.wait([waiting], timeout=self._configuration.poll_s)
            return waiting.result() if waiting.done() else None
        finally:
            waiting.cancel()

    async def _stop(self, state: JobState) -> None:
        rental = self._octa.rentals.restore(state.rental)
        self._logger.warning("The flow run is over and its process is not: session %s is stopped", rental.uuid)
        bill = await self._in_thread(rental.stop)
        self._output.ended()
        self._starts.tell("stopped", state, bill=bill, reason="its flow run is over")
        self._tell_stopped(state, bill.duration_s, bill.charge_usd)
        await self._starts.tell_cancelled("Cancelled; its process did not end in time: the worker stopped its machine.")

    def _tell_stopped(self, state: JobState, duration_s: float | None, cost_usd: float | None) -> None:
        cost = "" if cost_usd is None else f", {usd_text(cost_usd)}"
        if state.tried:
            cost += f" with {len(state.tried)} before it"
        self._logger.info("%s", f"Session {state.rental.uuid} was stopped after {duration_s} s{cost}")

    # -- in a thread ---------------------------------------------------------------------------------------------

    def _look(self, state: JobState, session: Session | None, pace: LookPace) -> JobState:
        if session is not None and session.urls and not self._are_urls_told:
            self._are_urls_told = True
            for port, url in session.urls.items():
                self._logger.info("%s", f"Port {port} answers at {plain_words(url)}")
        return self._octa.jobs.poll(
            state,
            private_key=self._private_key,
            on_line=self._output.line,
            session=session,
            is_cancelled=is_worker_leaving,
            reads_log=pace.reads_log,
            on_end=pace.hurry,
        )

    def _begin(self, state: JobState, pace: LookPace) -> JobState:
        """Begin the flow run over SSH; once however often it is asked for."""
        try:
            spec = self._configuration.spec()
        except OctaConfigError as error:
            # Its job variables were changed since it was rented: it must not wait, and bill, for ever.
            return state.ending(JobOutcome.FAILED, str(error))
        return self._octa.jobs.begin(
            state, spec, private_key=self._private_key, is_cancelled=is_worker_leaving, on_end=pace.hurry
        )


def _has_to_go(state: JobState, seen: SeenState, grace: CancelGrace) -> bool:
    """Whether the machine is to be stopped, since its flow run is over, or is to be."""
    if not seen.known:
        return False
    # On a machine that is coming up there is no process yet that could end itself.
    is_begun = state.phase not in (JobPhase.STARTING, JobPhase.READY)
    return (not is_begun and seen.is_over) or grace.is_over(seen, time.monotonic())
