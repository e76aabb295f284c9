"""When a job that many wait for is worth a look: told by the watcher that all of them share.

A job's look reads its log, which is a request of its own. So it is made when the shared list says that the session has
come on, and otherwise at a pace that slows down as the command runs: what is noticed late is billed, but never more
than a fiftieth of what the command has run for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.errors import OctaSessionFailedError, OctaWaitTimeoutError
from octa_provider.job.state import GRACE_S, JobPhase, JobState
from octa_provider.models import SessionPhase
from octa_provider.rental.caps import over_budget

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.timing.clock import Clock
    from octa_provider.watch.watcher import Watcher

__all__ = ["LONGEST_PAUSE_S", "look_pause_s", "until_look_is_due"]

LONGEST_PAUSE_S = 60.0
SHARE_OF_RUN = 0.02
#: The list is asked once in an interval; a look is due this much after it should have told, when it tells nothing.
OUTAGE_S = 30.0


def look_pause_s(state: JobState, now: float, poll_s: float) -> float:
    """Seconds until the next look at a job.

    Args:
        state: the job, as it was at the last look.
        now: Unix time.
        poll_s: the shortest pause.
    """
    if state.phase is not JobPhase.RUNNING or state.end_by is None:
        return max(poll_s, min(LONGEST_PAUSE_S, state.ready_by - now))
    ran_s = now - (state.end_by - state.timeout_s - GRACE_S)
    return max(poll_s, min(LONGEST_PAUSE_S, ran_s * SHARE_OF_RUN, state.end_by - now))


async def until_look_is_due(watcher: Watcher, clock: Clock, state: JobState, poll_s: float) -> Session | None:
    """Wait until a job is worth a look.

    Args:
        watcher: the account's.
        clock: the client's.
        state: the job, as it was at the last look.
        poll_s: seconds between two looks, at least.

    Returns:
        The session as the list has just shown it, for `Jobs.poll`; None when the list told nothing of it for a while,
        so that the look has to ask itself.

    Raises:
        OctaAuthenticationError, OctaForbiddenError: the key was refused.
    """
    pause_s = look_pause_s(state, clock.steady_time(), poll_s)
    due_at = clock.monotonic() + pause_s

    def is_due(session: Session) -> bool:
        if state.phase is JobPhase.STARTING and session.phase is not SessionPhase.STARTING:
            return True
        # A cap that is reached is seen in the list, so that it need not wait for the next look.
        return clock.monotonic() >= due_at or over_budget(state.rental, session) is not None

    try:
        return await watcher.wait_async(state.rental.uuid, is_due, pause_s + OUTAGE_S)
    except (OctaWaitTimeoutError, OctaSessionFailedError):
        return None
