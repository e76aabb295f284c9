"""What a look at a job amounts to: how its command ended, and whether a deadline has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.job.result import JobOutcome
from octa_provider.job.state import GRACE_S, JobPhase, JobState

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.timing.clock import Clock

__all__ = ["end_exited", "end_overdue"]


def end_exited(state: JobState, why_unknown: str) -> JobState:
    """End a job whose command has exited, by its exit code. Another job is returned as it is.

    Args:
        state: how far the job is.
        why_unknown: what has become of a command that left no code.
    """
    if state.phase is not JobPhase.EXITED or state.ended:
        return state
    code = state.exit_code
    if code is None:
        return state.ending(JobOutcome.LOST, f"{why_unknown}, so that it left no exit code: outcome unknown")
    if state.timed_out:
        return state.ending(JobOutcome.TIMED_OUT, f"the command was ended after {state.timeout_s:g} s", code)
    if code == 0:
        return state.ending(JobOutcome.SUCCEEDED, "", 0)
    return state.ending(JobOutcome.FAILED, f"the command ended with exit code {code}", code)


def end_overdue(
    state: JobState,
    clock: Clock,
    *,
    session: Session | None = None,
    unseen: str = "",
    unseen_s: float = 0.0,
) -> JobState:
    """End a job whose deadline has passed. Another job is returned as it is.

    Args:
        state: how far the job is.
        clock: of this process.
        session: the session as it was seen at this look. Where the deadline was set by another process, whose clock may
            have been another, the API's count of how long the session has run has the last word.
        unseen: why nothing could be seen at this look; empty when it could.
        unseen_s: how many seconds later the deadline is while nothing can be seen.
    """
    if state.ended:
        return state
    due = state.ready_by if state.end_by is None else state.end_by
    if unseen:
        # It may have come up, and run, since anybody last looked: a trigger that was restarted knows no later state.
        due = state.latest_end + unseen_s
    if clock.steady_time() <= due:
        return state
    if session is not None and state.clock != clock.identity and _has_time_left(state, session):
        return state
    if unseen:
        return state.ending(JobOutcome.LOST, f"{unseen} for {unseen_s:g} s past the deadline: outcome unknown")
    if state.end_by is None:
        late = "the session was not ready for the command in time"
        # What has kept the command from beginning, where `begin` has found out.
        ended = state.ending(JobOutcome.NOT_READY, f"{late}: {state.message}" if state.message else late)
        # No other machine would take that key.
        return ended.having(never_up=not state.is_key_refused)
    return state.ending(JobOutcome.TIMED_OUT, f"the command did not end within {state.timeout_s:g} s")


def _has_time_left(state: JobState, session: Session) -> bool:
    """Whether a deadline that has passed by this machine's clock has not by the API's count of the session's time."""
    ran_s = session.duration_s
    if ran_s is None:
        return False
    if state.end_by is None:
        return state.ready_timeout_s is not None and ran_s < state.ready_timeout_s
    return state.ran_from_s is not None and ran_s - state.ran_from_s < state.timeout_s + GRACE_S
