"""What comes next for a job: one pure function. Whoever runs jobs, here or in an orchestrator, carries steps out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from octa_provider.job.pacing import look_pause_s
from octa_provider.job.result import JobOutcome
from octa_provider.job.state import JobPhase, JobState

__all__ = ["Begin", "BeginAnew", "Collect", "Finish", "StartElsewhere", "Step", "Wait", "begins_anew", "next_step"]


@dataclass(frozen=True)
class Begin:
    """Send the inputs and start the command: `Jobs.begin`."""


@dataclass(frozen=True)
class Wait:
    """Look again: `Jobs.poll`.

    Attributes:
        until: Unix time by `Clock.steady_time`, never before `now`. Where a list of sessions is watched, that tells
            sooner when the session has come on.
    """

    until: float


@dataclass(frozen=True)
class Collect:
    """Fetch the outputs and the log: `Jobs.collect`. It needs a worker, with its disk and its key."""


@dataclass(frozen=True)
class Finish:
    """Stop the session, and say what the job came to: `Jobs.finish`."""


@dataclass(frozen=True)
class BeginAnew:
    """Stop what an earlier try has left, and start again: it is no result of this try.

    Attributes:
        why: how the earlier one ended.
    """

    why: str


@dataclass(frozen=True)
class StartElsewhere:
    """Stop the machine, which never came up, and start on another one: `Jobs.start_elsewhere`.

    Attributes:
        why: what became of it.
    """

    why: str


Step = Begin | Wait | Collect | Finish | BeginAnew | StartElsewhere


def next_step(
    state: JobState,
    *,
    now: float,
    poll_s: float = 5.0,
    collects: bool = True,
    keeps_session: bool = False,
    accepted_codes: Collection[int] = (),
    may_begin_anew: bool = False,
    is_begin_tried: bool = False,
    is_watched: bool = False,
    may_start_elsewhere: bool = False,
) -> Step:
    """Tell what comes next for a job.

    Args:
        state: how far it was when somebody last looked.
        now: Unix time by `Clock.steady_time`.
        poll_s: seconds between two looks, at least.
        collects: whether there may be anything to fetch: outputs, or a log that somebody wants in a file.
        keeps_session: whether a session runs on after its job's end, so that a failure may be one that was told before.
        accepted_codes: exit codes that are a result although they are not 0.
        may_begin_anew: whether whoever asks can start the job again.
        is_begin_tried: whether `Begin` has been carried out since the last look. A machine that was not ready for the
            command yet is looked at before that is tried again.
        is_watched: whether the session is watched in a list meanwhile; then a look is due less often the longer the
            command runs: see `look_pause_s`.
        may_start_elsewhere: whether whoever asks can have the job started on another machine, where the job's
            `start_attempts` allow it.

    Returns:
        The step. `Collect` comes once: what can't be fetched is a failure of the job, and the job collected.
    """
    if not state.ended:
        if state.phase is JobPhase.READY and not is_begin_tried:
            return Begin()
        return Wait(now + (look_pause_s(state, now, poll_s) if is_watched else max(0.0, poll_s)))
    if may_start_elsewhere and state.may_start_elsewhere:
        return StartElsewhere(state.message)
    if may_begin_anew and begins_anew(state, keeps_session=keeps_session, accepted_codes=accepted_codes):
        return BeginAnew(state.message)
    if collects and state.phase is JobPhase.EXITED:
        return Collect()
    return Finish()


def begins_anew(state: JobState, *, keeps_session: bool = False, accepted_codes: Collection[int] = ()) -> bool:
    """Tell whether the end of an adopted job is no result of this try.

    The try before may have been killed a moment ago, its session being stopped; or its failure was told, and the
    session kept.

    Args:
        state: of a job that has ended.
        keeps_session: whether sessions run on after their job's end.
        accepted_codes: exit codes that are a result although they are not 0.
    """
    if state.attempts == 1 or state.outcome in {JobOutcome.SUCCEEDED, JobOutcome.OVER_BUDGET}:
        # A cap that was reached has been reached under our eyes: whoever sees it stops the session.
        return False
    if state.exit_code in accepted_codes:
        return False
    return state.outcome is JobOutcome.LOST or keeps_session
