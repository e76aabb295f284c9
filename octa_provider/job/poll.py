"""One look at a job: whether its session lives, whether its command has ended, and whether a deadline has passed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.errors import (
    OctaBudgetError,
    OctaCancelledError,
    OctaError,
    OctaSessionFailedError,
    OctaSshError,
)
from octa_provider.job.line_listener import LineListener
from octa_provider.job.log import read_job_log
from octa_provider.job.over_ssh import look_at_detached
from octa_provider.job.result import JobOutcome
from octa_provider.job.state import JobPhase, JobState
from octa_provider.models import SessionPhase
from octa_provider.remote.target import ssh_key as ssh_key
from octa_provider.rental.cost import price_usd, spent_usd
from octa_provider.rental.wait import gone_error, look, refuse_failed, refuse_over_budget, stop_later_twins
from octa_provider.text.plain_log import plain_logger
from octa_provider.timing.asking import is_transient
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.outage import outages

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Terms
    from octa_provider.timing.clock import Clock

log = plain_logger("octa_provider.job.poll")

#: The machine ends the command itself; this much later we no longer wait for it to say so.
GRACE_S = 60.0
#: While nothing can be seen, a deadline waits so much longer: what has ended well must not be reported as late. An API
#: that does not answer could not stop the session either.
OUTAGE_S = 1800.0
UNSEEN_S = 300.0
#: The API's log may lag behind a command over SSH that has ended.
LOG_LAG_S = 10.0
#: The session is asked for so long, in one look.
LOOK_S = 60.0
OnLine = Callable[[str], object]


class JobLook:
    """One look at one job.

    Args:
        api: the API.
        state: how far the job was at the last look.
        private_key: as in `Jobs.run`.
        on_line: called with each new line of the command's output.
        is_cancelled: asked while something arrives from the API; when it says yes, the look is cut short.
        on_unfinished: called with the states of a line that has not ended.
    """

    def __init__(
        self,
        api: RentalApi,
        state: JobState,
        private_key: str | Path | None,
        on_line: OnLine | None,
        is_cancelled: Callable[[], bool] = lambda: False,
        on_unfinished: OnLine | None = None,
    ) -> None:
        self._api = api
        self._is_cancelled = is_cancelled
        self._state = state
        self._private_key = private_key
        self._on_line = LineListener.of(on_line)
        self._on_unfinished = LineListener.of(on_unfinished, "on_unfinished")
        self._enough: Callable[[], bool] = lambda: False

    def state(self, seen: Session | None = None) -> JobState:
        """How far the job is now; `seen` is its session, where somebody has just looked."""
        state, terms, clock = self._state, self._state.rental, self._api.clock
        try:
            session = seen or look(self._api.within(Deadline(clock, LOOK_S), self._is_cancelled), terms.uuid)
        except OctaCancelledError:
            return state
        except OctaError as error:
            if not is_transient(error):
                raise
            outages.failed(error, clock, f"the job {state.key} is looked at")
            return overdue(state, clock, blind="the API did not answer", patience_s=OUTAGE_S)
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
            return state.ending(JobOutcome.LOST, str(error))
        if state.phase is JobPhase.STARTING and session.phase is SessionPhase.READY:
            if seen is None:
                # Whoever has seen it in a list has looked for twins there.
                stop_later_twins(self._api, terms, session)
            state = _up(state, clock, session)
        if state.phase is not JobPhase.RUNNING:
            return overdue(state, clock, session=session)
        self._state = state
        self._enough = spends_too_much(terms, session, clock)
        blind = self._look_over_ssh(session) if state.over_ssh else self._look_at_log()
        return overdue(self._state, clock, session=session, blind=blind, patience_s=UNSEEN_S)

    def _look_at_log(self) -> str:
        """Look at a command that is the container's own. Returns why nothing could be seen; empty when it could."""
        read = self._read_log()
        self._state = judged(self._state, "the container was restarted")
        return "" if read else "its log could not be read"

    def _look_over_ssh(self, session: Session) -> str:
        """The same for a command over SSH."""
        if self._is_heard:
            self._read_log()
            self._state = judged(self._state, "the command was killed")
            if self._state.ended:
                return ""
        try:
            status = look_at_detached(session, self._state, ssh_key(self._private_key))
        except OctaSshError as error:
            if not error.lost:
                self._state = self._state.ending(JobOutcome.LOST, f"{error}: outcome unknown")
                return ""
            log.warning("looking at the job %s: %s", self._state.key, error)
            return "the machine could not be reached over SSH"
        if status.state == "absent":
            self._state = self._state.ending(JobOutcome.LOST, "the machine has forgotten the command: outcome unknown")
        elif status.state != "running":
            if self._is_heard:
                self._read_rest_of_log()
            end = status.marker
            self._state = self._state.having(
                phase=JobPhase.EXITED,
                exit_code=None if end is None else end.exit_code,
                timed_out=end is not None and end.timed_out,
            )
            self._state = judged(self._state, "the command was killed")
        return ""

    @property
    def _is_heard(self) -> bool:
        """Whether anybody wants what the command prints."""
        return self._on_line is not None or self._on_unfinished is not None

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
            state = judged(state, "the container was restarted")
            if state.ended:
                return state
            self._state = state
        return self._state.ending(
            JobOutcome.LOST, f"{gone_error(self._api, self._state.rental)}. It left no exit code: outcome unknown"
        )


def judged(state: JobState, unknown: str) -> JobState:
    """The outcome of a command that has exited; `unknown` says why when it left no code."""
    if state.phase is not JobPhase.EXITED or state.ended:
        return state
    code = state.exit_code
    if code is None:
        return state.ending(JobOutcome.LOST, f"{unknown}, so that it left no exit code: outcome unknown")
    if state.timed_out:
        return state.ending(JobOutcome.TIMED_OUT, f"the command was ended after {state.timeout_s:g} s", code)
    if code == 0:
        return state.ending(JobOutcome.SUCCEEDED, "", 0)
    return state.ending(JobOutcome.FAILED, f"the command ended with exit code {code}", code)


def overdue(
    state: JobState,
    clock: Clock,
    *,
    session: Session | None = None,
    blind: str = "",
    patience_s: float = 0.0,
) -> JobState:
    """The state itself, unless a deadline has passed.

    Args:
        state: how far the job is.
        clock: of this process.
        session: the session as it was seen at this look. Where the deadline was set by another process, whose clock may
            have been another, the API's count of how long the session has run has the last word.
        blind: why nothing could be seen at this look, if so.
        patience_s: how much later the deadline is then.
    """
    if state.ended:
        return state
    due = state.ready_by if state.end_by is None else state.end_by
    if blind and state.end_by is None:
        # It may have come up, and run, since anybody last looked: a trigger that was restarted knows no later state.
        due += state.timeout_s + GRACE_S
    if clock.steady_time() <= due + (patience_s if blind else 0.0):
        return state
    if session is not None and state.clock != clock.identity and _has_time_left(state, session):
        return state
    if blind:
        return state.ending(JobOutcome.LOST, f"{blind} for {patience_s:g} s past the deadline: outcome unknown")
    if state.end_by is None:
        late = "the session was not ready for the command in time"
        # What has kept the command from beginning, where `begin` has found out.
        return state.ending(JobOutcome.NOT_READY, f"{late}: {state.message}" if state.message else late)
    return state.ending(JobOutcome.TIMED_OUT, f"the command did not end within {state.timeout_s:g} s")


def running(state: JobState, clock: Clock, session: Session, **changes: Any) -> JobState:
    """The state once the command runs."""
    return state.having(
        phase=JobPhase.RUNNING,
        message="",
        end_by=clock.steady_time() + state.timeout_s + GRACE_S,
        clock=clock.identity,
        ran_from_s=None if session.duration_s is None else float(session.duration_s),
        **changes,
    )


def _has_time_left(state: JobState, session: Session) -> bool:
    """Whether a deadline that has passed by this machine's clock has not by the API's count of the session's time."""
    ran_s = session.duration_s
    if ran_s is None:
        return False
    if state.end_by is None:
        return state.ready_timeout_s is not None and ran_s < state.ready_timeout_s
    return state.ran_from_s is not None and ran_s - state.ran_from_s < state.timeout_s + GRACE_S


def spends_too_much(terms: Terms, session: Session, clock: Clock) -> Callable[[], bool]:
    """Asked while a log arrives, however long it takes: whether the cap on cost has been reached meanwhile."""
    spent, price, began = spent_usd(terms, session), price_usd(session) or terms.price_usd, clock.monotonic()
    cap = terms.max_cost_usd
    if cap is None or spent is None or price is None:
        return lambda: False
    return lambda: spent + price * (clock.monotonic() - began) / 3600 >= cap


def _up(state: JobState, clock: Clock, session: Session) -> JobState:
    return state.having(phase=JobPhase.READY) if state.over_ssh else running(state, clock, session)
