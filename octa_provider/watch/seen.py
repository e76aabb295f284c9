"""What the API tells of many sessions at once: one list call, a lookup for those not in it, what an absence means."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec

from octa_provider.api.sessions import APPEARING_S
from octa_provider.errors import OctaNotFoundError, OctaSessionFailedError
from octa_provider.rental.twins import twins_of

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.models import Records, Session
    from octa_provider.timing.clock import Clock

__all__ = ["Absence", "SeenSessions", "look_up", "vanished"]

#: Lookups cost a request each, so that a thousand sessions that vanish at once are looked up over several polls.
MAX_LOOKUPS_PER_POLL = 20


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


class SeenSessions:
    """Remembers which sessions were missed, and since when. For one thread at a time.

    Args:
        api: the API.
        clock: where the time comes from.

    Attributes:
        twins: later sessions under the key of one that is asked for, in the last list: nobody holds them.
    """

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._absences: dict[str, Absence] = {}
        self.twins: list[str] = []

    def ask(self, uuids: Collection[str]) -> Iterator[dict[str, Session | OctaSessionFailedError]]:
        """Ask for these sessions. First come those in the list, then those that were looked up.

        What is not in an answer is not known now: just started, or not looked up yet. A session that has ended carries
        `finished_at`; one that no list and no lookup has known for a while comes as an error.

        Raises:
            OctaError: a request failed; what came before holds.
        """
        listed = self._api.sessions.list(retries=0)
        self.twins = [twin.uuid for twin in twins_of(uuids, listed)]
        active = {session.uuid: session for session in listed}
        missing = [uuid for uuid in uuids if uuid not in active and not is_listed_odd(uuid, listed)]
        now = self._clock.monotonic()
        self._absences = {uuid: self._absences.get(uuid, Absence(since=now)) for uuid in missing}
        yield {uuid: active[uuid] for uuid in uuids if uuid in active}
        due = [uuid for uuid in missing if self._absences[uuid].must_look_up(now)]
        if due:
            yield self._look_up(due, now)

    def _look_up(self, due: list[str], now: float) -> dict[str, Session | OctaSessionFailedError]:
        recent = self._api.sessions.list(recent=True, retries=0)
        ended = {session.uuid: session for session in recent if session.finished_at is not None}
        found: dict[str, Session | OctaSessionFailedError] = {uuid: ended[uuid] for uuid in due if uuid in ended}
        for uuid in [uuid for uuid in due if uuid not in ended][:MAX_LOOKUPS_PER_POLL]:
            absence = self._absences[uuid]
            session = look_up(self._api, uuid, recent, self._clock.time())
            if session is not None:
                found[uuid] = session
                # It was there after all: should it stay away from the list, it has its time again.
                self._absences[uuid] = Absence(since=now)
            elif absence.is_over(now):
                found[uuid] = vanished(uuid)
            else:
                self._absences[uuid] = Absence(absence.since, looked_up=True)
        return found
