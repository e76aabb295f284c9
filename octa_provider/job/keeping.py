"""Keeping the machine of a command that failed, for a look into it: when, for how long, and how that is told."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from octa_provider.errors import OctaError
from octa_provider.job.result import JobOutcome
from octa_provider.rental.caps import seconds_left
from octa_provider.rental.cost import price_usd
from octa_provider.rental.kept import kept_under, note_kept
from octa_provider.rental.stop import stop_command
from octa_provider.rental.wait import look
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline
from octa_provider.wire.money import price_text

if TYPE_CHECKING:
    from octa_provider.job.state import JobState
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Terms

__all__ = ["KEEP_S", "keep_failed", "keeps"]

log = plain_logger("octa_provider.job.keeping")

#: For how long, where nobody says.
KEEP_S = 3600.0
#: The session is looked at for so long; what can't be seen is stopped.
LOOK_S = 30.0


def keeps(state: JobState) -> bool:
    """Whether the machine of a job is to be kept: its command ran, and failed, and nothing else ended it.

    Not one that reached a cap, never came up, could not begin it, or of which nobody knows how it ended; nor one that
    was cancelled, which has no outcome.

    Args:
        state: of a job that has ended.
    """
    has_failed = state.outcome is JobOutcome.FAILED and state.exit_code is not None
    return state.keep_failed_s is not None and (has_failed or state.outcome is JobOutcome.TIMED_OUT)


def keep_failed(api: RentalApi, terms: Terms, state: JobState) -> float | None:
    """Keep the session of a job that failed, where that was asked for, and tell whoever reads the log.

    Args:
        api: the API.
        terms: what its rental is known by; a cap that is reached sooner ends it sooner.
        state: of the job.

    Returns:
        Unix time until which it is kept; None when it is to be stopped.
    """
    if not keeps(state) or state.keep_failed_s is None:
        return None
    deadline = Deadline(api.clock, LOOK_S)
    try:
        session = ask_until(deadline, lambda: look(api.within(deadline), terms.uuid))
    except OctaError as error:
        log.warning("session %s of %s can't be seen, so it is stopped and not kept: %s", terms.uuid, state.key, error)
        return None
    if session is None or session.finished_at is not None:
        return None
    left_s = seconds_left(terms, session, api.clock)
    keep_s = state.keep_failed_s if left_s is None else min(state.keep_failed_s, left_s)
    until = api.clock.time() + keep_s
    if terms.key is not None:
        # Its end may be seen twice, such as by a trigger that is made anew: it is kept no longer for that.
        until = min(until, kept_under(api, terms.key).get(terms.uuid, until))
        keep_s = until - api.clock.time()
    if keep_s <= 0 or not note_kept(api, terms, until):
        why = "its time, or a cap, is over" if keep_s <= 0 else "that it is kept can't be written down"
        log.warning("session %s of %s is stopped and not kept: %s", terms.uuid, state.key, why)
        return None
    price = price_usd(session) or terms.price_usd
    log.warning(
        "%s: session %s on node %s IS KEPT AND BILLS ON at %s, until %s at most where a reaper runs. Stop it now: %s",
        *(state.message or "the command failed", terms.uuid, terms.node_id),
        *("an unknown price" if price is None else price_text(price), when_text(until), stop_command([terms.uuid])),
    )
    return until


def when_text(at: float) -> str:
    """A point in time in words.

    Args:
        at: Unix time.
    """
    return f"{datetime.fromtimestamp(at, tz=timezone.utc):%Y-%m-%d %H:%M} UTC"
