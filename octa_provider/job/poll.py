"""One look at a job: whether its session lives, whether its command has ended, and whether a deadline has passed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import (
    OctaBudgetError,
    OctaCancelledError,
    OctaError,
    OctaSessionFailedError,
    OctaSshError,
)
from octa_provider.job.line_listener import LineListener, OnLine
from octa_provider.job.log import read_file_log, read_job_log
from octa_provider.job.over_ssh import look_at_detached
from octa_provider.job.result import JobOutcome
from octa_provider.job.script import LOG_FILE
from octa_provider.job.state import JobPhase, JobState
from octa_provider.job.verdict import end_exited, end_overdue
from octa_provider.logs.file_log import FilePart
from octa_provider.models import SessionPhase
from octa_provider.remote.target import ssh_key
from octa_provider.rental.caps import refuse_over_budget, spends_too_much
from octa_provider.rental.wait import gone_error, look, refuse_failed, stop_later_twins
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import is_transient
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.outage import outages

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.remote.machine import RemoteMachine
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.timing.clock import Clock

log = plain_logger("octa_provider.job.poll")

#: While nothing can be seen, a deadline waits so much longer: what has ended well must not be reported as late. An API
#: that does not answer could not stop the session either.
OUTAGE_S = 1800.0
UNSEEN_S = 300.0
#: The API's log may lag behind a command over SSH that has ended.
LOG_LAG_S = 10.0
#: The log of a command over SSH is read for so long in one look, however much of it the machine says there is.
READ_S = 120.0
#: The session is asked for so long, in one look.
LOOK_S = 60.0


class JobPoll:
    """One look at one job.

    Args:
        api: the API.
        state: how far the job was at the last look.
        private_key: as in `Jobs.run`.
        on_line: called with each new line of the command's output.
        is_cancelled: asked while something arrives from the API; when it says yes, the look is cut short.
        on_unfinished: called with the states of a line that has not ended.
        reads_log, on_end: as in `Jobs.poll`.
    """

    def __init__(
        self,
        api: RentalApi,
        state: JobState,
        private_key: str | Path | None,
        on_line: OnLine | None,
        is_cancelled: Callable[[], bool] = lambda: False,
        on_unfinished: OnLine | None = None,
        reads_log: bool = True,
        on_end: Callable[[], object] | None = None,
    ) -> None:
        self._api = api
        self._on_end = on_end
        self._reads_log = reads_log
        self._is_cancelled = is_cancelled
        self._state = state
        self._private_key = private_key
        self._on_line = LineListener.of(on_line)
        self._on_unfinished = LineListener.of(on_unfinished, "on_unfinished")
        self._enough: Callable[[], bool] = lambda: False

    def look(self, seen: Session | None = None) -> JobState:
        """Look, and tell how far the job is now.

        Args:
            seen: its session, where somebody has just looked; it is asked for otherwise.

        Raises:
            OctaError: the API refused the key, or a session over its budget could not be stopped.
        """
        state, terms, clock = self._state, self._state.rental, self._api.clock
        try:
            session = seen or look(self._api.within(Deadline(clock, LOOK_S), self._is_cancelled), terms.uuid)
        except OctaCancelledError:
            return state
        except OctaError as error:
            if not is_transient(error):
                raise
            outages.failed(error, clock, f"the job {state.key} is looked at")
            return end_overdue(state, clock, unseen="the API did not answer", unseen_s=OUTAGE_S)
        if session is None:
            # One that was seen to be up needs no more time to appear.
            appearing = state.phase is JobPhase.STARTING and clock.steady_time() < state.appear_by
            return state if appearing else self._lost()
        if session.phase is SessionPhase.FINISHED:
            return self._lost()
        try:
            refuse_failed(self._api, terms, session)
            refuse_over_budget(self._api, terms, session)
        except OctaBudgetError as error:
            return state.ending(JobOutcome.OVER_BUDGET, str(error))
        except OctaSessionFailedError as error:
            return state.ending(JobOutcome.LOST, str(error)).having(never_up=state.phase is JobPhase.STARTING)
        if state.phase is JobPhase.STARTING and session.phase is SessionPhase.READY:
            if seen is None:
                # Whoever has seen it in a list has looked for twins there.
                stop_later_twins(self._api, terms, session)
            state = _up(state, clock, session)
        if state.phase is not JobPhase.RUNNING:
            return end_overdue(state, clock, session=session)
        self._state = state
        self._enough = spends_too_much(terms, session, clock)
        unseen = self._look_over_ssh(session) if state.over_ssh else self._look_at_log()
        return end_overdue(self._state, clock, session=session, unseen=unseen, unseen_s=UNSEEN_S)

    def _look_at_log(self) -> str:
        """Look at a command that is the container's own. Returns why nothing could be seen; empty when it could."""
        read = self._read_log()
        self._state = end_exited(self._state, "the container was restarted")
        return "" if read else "its log could not be read"

    def _look_over_ssh(self, session: Session) -> str:
        """The same for a command over SSH: by the API's log only where the machine can't be reached."""
        is_read = False

        def read_file(machine: RemoteMachine) -> None:
            nonlocal is_read
            # After it was asked: of a command that has ended, the log is whole then.
            is_read = self._read_file(machine)

        try:
            then = read_file if self._is_heard else None
            status = look_at_detached(session, self._state, ssh_key(self._private_key), self._on_end, then)
        except OctaSshError as error:
            if self._is_heard and (self._reads_log or self._is_first_failure):
                self._read_log()
                self._state = end_exited(self._state, "the command was killed")
                if self._state.ended:
                    return ""
            if not error.lost:
                self._state = self._state.ending(JobOutcome.LOST, f"{error}: outcome unknown")
                return ""
            log.warning("looking at the job %s: %s", self._state.key, error)
            return "the machine could not be reached over SSH"
        if status.state == "absent":
            self._state = self._state.ending(JobOutcome.LOST, "the machine has forgotten the command: outcome unknown")
        elif status.state != "running":
            if self._is_heard and not is_read:
                self._read_rest_of_log()
            end = status.marker
            self._state = self._state.having(
                phase=JobPhase.EXITED,
                exit_code=None if end is None else end.exit_code,
                timed_out=end is not None and end.timed_out,
            )
        self._state = end_exited(self._state, "the command was killed")
        return ""

    @property
    def _is_heard(self) -> bool:
        """Whether anybody wants what the command prints."""
        return self._on_line is not None or self._on_unfinished is not None

    @property
    def _is_first_failure(self) -> bool:
        """Whether the log was read over SSH up to now: then one look through the API needs no turn of its own."""
        return self._state.log is None or self._state.log.of_file

    def _read_file(self, machine: RemoteMachine) -> bool:
        deadline = Deadline(self._api.clock, READ_S)

        def is_cancelled() -> bool:
            return deadline.passed or self._is_cancelled() or self._enough()

        def read_part(offset: int) -> FilePart:
            if is_cancelled():
                raise OctaCancelledError("the rest of the log is left to the next look")
            return FilePart(*machine.read_part(LOG_FILE, offset, is_cancelled=is_cancelled))

        self._state, is_read = read_file_log(
            self._api,
            self._state,
            read_part,
            on_line=self._on_line,
            on_unfinished=self._on_unfinished,
        )
        return is_read

    def _read_log(self) -> bool:
        self._state, read = read_job_log(
            self._api,
            self._state,
            on_line=self._on_line,
            on_unfinished=self._on_unfinished,
            is_cancelled=lambda: self._is_cancelled() or self._enough(),
        )
        return read

    def _read_rest_of_log(self) -> None:
        """The command has ended: its last lines are on their way through the API's log, and the marker behind them."""
        deadline = Deadline(self._api.clock, LOG_LAG_S)
        while not deadline.passed:
            self._read_log()
            if self._state.phase is JobPhase.EXITED:
                return
            deadline.pause(0.5)

    def _lost(self) -> JobState:
        """The session is gone: its last log may still hold the exit code; without one the outcome is unknown."""
        if not self._state.over_ssh:
            state, _ = read_job_log(
                self._api, self._state, on_line=self._on_line, on_unfinished=self._on_unfinished, recent=True
            )
            state = end_exited(state, "the container was restarted")
            if state.ended:
                return state
            self._state = state
        lost = self._state.ending(
            JobOutcome.LOST, f"{gone_error(self._api, self._state.rental)}. It left no exit code: outcome unknown"
        )
        # One that is the container's own may have begun without anybody having seen it.
        return lost.having(never_up=lost.over_ssh and self._state.phase in {JobPhase.STARTING, JobPhase.READY})


def _up(state: JobState, clock: Clock, session: Session) -> JobState:
    return state.having(phase=JobPhase.READY) if state.over_ssh else state.running(clock, session)
