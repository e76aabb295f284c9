"""How often a job that is watched in a list is worth a look of its own.

A look reads the log, whole each time, which is a request of its own. So the pause grows with how long the command has
been quiet, and with how long its log has become: one that speaks, and has not said much, is followed closely, and so
are the first few of a process. What is noticed late is billed, but is never more than a fiftieth of what it has run
for, as far as `LogReads` has a turn for it. Of a log that is read over SSH only what is new comes.
"""

from __future__ import annotations

from octa_provider.job.state import GRACE_S, JobPhase, JobState

__all__ = ["LONGEST_PAUSE_S", "look_pause_s"]

LONGEST_PAUSE_S = 60.0
SHARE_OF_QUIET = 0.02
#: A log that comes whole is read as often as makes so many bytes a second, at most: 1.3 MB every five seconds.
WHOLE_LOG_BYTES_PER_S = 256 * 1024


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
    whole_bytes = 0 if state.log is None or state.log.of_file else state.log.seen
    long_s = min(ran_s * SHARE_OF_QUIET, whole_bytes / WHOLE_LOG_BYTES_PER_S)
    return max(poll_s, min(LONGEST_PAUSE_S, max(quiet_s * SHARE_OF_QUIET, long_s), state.end_by - now))
