"""The rules of the watcher, as functions on values: when to ask, when to look a session up, what an absence means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec

from octa_provider.errors import (
    OctaAuthenticationError,
    OctaConfigError,
    OctaError,
    OctaForbiddenError,
    OctaNetworkError,
    OctaNotFoundError,
    OctaSessionFailedError,
)

if TYPE_CHECKING:
    from octa_provider.client import OctaClient
    from octa_provider.models import Records, Session

#: A session that has just been started may not be known everywhere yet, nor may one that has just ended.
APPEARING_S = 20.0
#: The longest pause between two looks in an outage, unless the server asks for more.
LONGEST_PAUSE_S = 60.0
JITTER = 0.1


@dataclass(frozen=True)
class Absence:
    """A session that is waited for and is not in the list.

    Attributes:
        since: when it was first missed, on the clock.
        looked_up: whether it has been looked up since then.
    """

    since: float
    looked_up: bool = False

    def must_look_up(self, now: float) -> bool:
        """Once when it is first missed, and again when the time to appear is over."""
        return not self.looked_up or self.is_over(now)

    def is_over(self, now: float) -> bool:
        """True when it had time enough to appear."""
        return now - self.since >= APPEARING_S


def pause_s(poll_s: float, failures: int, asked_s: float | None, chance: float) -> float:
    """Seconds until the next list call.

    Args:
        poll_s: the poll interval. Jitter only ever lengthens it: never more than one call per interval.
        failures: how many calls in a row have failed; the pause doubles with each.
        asked_s: what the server asked to wait for.
        chance: a random number, 0 to 1.
    """
    grown = poll_s * 2.0 ** min(failures, 20)
    pause = max(poll_s, min(grown, LONGEST_PAUSE_S)) * (1 + JITTER * chance)
    return max(pause, asked_s or 0.0)


def is_fatal(error: BaseException) -> bool:
    """True when waiting longer cannot help: the key is missing, wrong, or may not do this, or no connection can be."""
    if isinstance(error, OctaNetworkError):
        return error.final
    return isinstance(error, (OctaAuthenticationError, OctaForbiddenError, OctaConfigError))


def is_listed_odd(uuid: str, listed: Records[Session]) -> bool:
    """True when the list has it as a record that can't be read: it is there, whatever it is like."""
    return any(uuid in repr(record) for record in listed.odd)


def vanished(uuid: str) -> OctaSessionFailedError:
    """The error for a session that no list and no lookup knows."""
    return OctaSessionFailedError(
        f"session {uuid} is not active, not among the recent ones, and unknown by itself: it ended, or never was. "
        "Look at its logs with recent=True",
        uuid=uuid,
    )


def look_up(client: OctaClient, uuid: str, recent: Records[Session], now: float) -> Session | None:
    """What became of a session that is neither in the list nor among those that have ended.

    Being among the recent ones does not mean that it has ended (C: "completed and active"): `/info` tells. One that is
    there, and that neither the list of active ones nor `/info` knows, has.

    Args:
        client: the API.
        uuid: the session.
        recent: the list of recent ones, asked for after the other list.
        now: Unix time in seconds.

    Returns:
        The session as `/info` tells, with `finished_at` when it has ended; None when nothing is known.
    """
    try:
        return client.services.session(uuid).info(retries=0)
    except OctaNotFoundError:
        ended = next((session for session in recent if session.uuid == uuid), None)
        at = datetime.fromtimestamp(now, tz=timezone.utc)
        return None if ended is None else msgspec.structs.replace(ended, finished_at=at)


def asked_pause(error: BaseException) -> float | None:
    """The seconds that a 429 asks for."""
    asked = getattr(error, "retry_after", None)
    return asked if isinstance(error, OctaError) and isinstance(asked, (int, float)) else None
