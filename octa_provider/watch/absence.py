"""What it means that a session that is waited for is not in the list: too new, just ended, or gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec

from octa_provider.api.sessions import APPEARING_S
from octa_provider.errors import OctaNotFoundError, OctaSessionFailedError

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.models import Records, Session


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


def is_listed_odd(uuid: str, listed: Records[Session]) -> bool:
    """True when the list has it as a record that can't be read: it is there, whatever it is like.

    Args:
        uuid: the session.
        listed: the list.
    """
    return any(uuid in repr(record) for record in listed.odd)


def vanished(uuid: str) -> OctaSessionFailedError:
    """The error for a session that no list and no lookup knows."""
    return OctaSessionFailedError(
        f"session {uuid} is not active, not among the recent ones, and unknown by itself: it ended, or never was. "
        "Look at its logs with recent=True",
        uuid=uuid,
    )


def look_up(api: Api, uuid: str, recent: Records[Session], now: float) -> Session | None:
    """What became of a session that is neither in the list nor among those that have ended.

    Being among the recent ones does not mean that it has ended (C: "completed and active"): `/info` tells. One that is
    there, and that neither the list of active ones nor `/info` knows, has.

    Args:
        api: the API.
        uuid: the session.
        recent: the list of recent ones, asked for after the other list.
        now: Unix time in seconds.

    Returns:
        The session as `/info` tells, with `finished_at` when it has ended; None when nothing is known.
    """
    try:
        return api.services.session(uuid).info(retries=0)
    except OctaNotFoundError:
        ended = next((session for session in recent if session.uuid == uuid), None)
        at = datetime.fromtimestamp(now, tz=timezone.utc)
        return None if ended is None else msgspec.structs.replace(ended, finished_at=at)
