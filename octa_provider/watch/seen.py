"""What the API tells of many sessions at once: one list call, and a lookup for those that are not in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from octa_provider.errors import OctaSessionFailedError
from octa_provider.rental.twins import twins_of
from octa_provider.watch.absence import Absence, is_listed_odd, look_up, vanished

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.models import Session
    from octa_provider.timing.clock import Clock


#: Lookups cost a request each, so that a thousand sessions that vanish at once are looked up over several polls.
MAX_LOOKUPS_PER_POLL = 20


class SeenSessions:
    """Remembers which sessions were missed, and since when. For one thread at a time.

    Args:
        api: the API.
        clock: where the time comes from.

    Attributes:
        twins: later sessions under the key of one that is asked for, in the last list, each with that one before it.
    """

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._absences: dict[str, Absence] = {}
        self.twins: list[tuple[Session, Session]] = []

    def ask(self, uuids: Collection[str]) -> Iterator[dict[str, Session | OctaSessionFailedError]]:
        """Ask for these sessions. First come those in the list, then those that were looked up.

        What is not in an answer is not known now: just started, or not looked up yet. A session that has ended carries
        `finished_at`; one that no list and no lookup has known for a while comes as an error.

        Raises:
            OctaError: a request failed; what came before holds.
        """
        listed = self._api.sessions.list(retries=0)
        self.twins = twins_of(uuids, listed)
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
