"""How often a job that is watched in a list is worth a look of its own.

A look reads the log, whole each time, which is a request of its own. So the pause grows with how long the command has
been quiet: one that speaks is followed closely, and so are the first few of a process. What is noticed late of a quiet
one is billed, but is never more than a fiftieth of what it has run for, as far as `LogReads` has a turn for it.
"""

from __future__ import annotations

from octa_provider.job.state import GRACE_S, JobPhase, JobState

__all__ = ["LONGEST_PAUSE_S", "look_pause_s"]

LONGEST_PAUSE_S = 60.0
SHARE_OF_QUIET = 0.02


def look_pause_s(state: JobState, now: float, poll_s: float, quiet_s: float | None = None) -> float:
    """Seconds until the next look at a job.

    Args:
        state: the job, as it was at the last look.
        now: Unix time.
        poll_s: the shortest pause.
        quiet_s: seconds since it was last heard to print; None when nothing was heard of it here.
    """
    if state.phase is not JobPhase.RUNNING or state.end_by is None:
        return max(poll_s, min(LONGEST_PAUSE_S, state.ready_by - now))
    ran_s = now - (state.end_by - state.timeout_s - GRACE_S)
    quiet_s = ran_s if quiet_s is None else min(ran_s, quiet_s)
    return max(poll_s, min(LONGEST_PAUSE_S, quiet_s * SHARE_OF_QUIET, state.end_by - now))
