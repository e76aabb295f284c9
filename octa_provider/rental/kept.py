"""Sessions that are kept on purpose when their work has failed, for a look: nobody takes or stops one by mistake.

A session looks the same whether its command runs or has failed. So that it is kept is written down, with until when,
where the next try, a stop by key and the reaper see it. After that time it is nobody's: whoever sees it stops it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaError
from octa_provider.rental.intents import Intent
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Terms
    from octa_provider.timing.clock import Clock

__all__ = ["all_kept", "forget_ended", "forget_kept", "is_kept", "kept_now", "kept_under", "note_kept"]

log = plain_logger("octa_provider.rental.kept")

#: A note that is written so far ahead, in seconds, tells that a wall clock was set: what it keeps is kept no longer.
_AHEAD_S = 3600.0


def note_kept(api: RentalApi, terms: Terms, until: float) -> bool:
    """Write down that a session is kept.

    Args:
        api: the API, and the store of intents.
        terms: what its rental is known by.
        until: Unix time from which on it is nobody's.

    Returns:
        Whether it can be read again. What nobody else would know of must not be kept.
    """
    if terms.key is None:
        return False
    now, service, node_id = api.clock.time(), terms.service or "", terms.node_id or 0
    counted = (api.clock.boot, api.clock.monotonic())
    note = Intent(terms.uuid, "", service, node_id, (), now, terms.uuid, api.namespace, *counted)
    api.intents.put(_noted_as(terms.key), note.kept(until))
    return terms.uuid in kept_under(api, terms.key)


def kept_under(api: RentalApi, key: str) -> dict[str, float]:
    """The sessions of a key that were kept: uuid to the Unix time until which. They may be gone by now.

    Args:
        api: the API, and the store of intents.
        key: the rental key, whole.
    """
    notes = api.intents.read(_noted_as(key))
    return {note.uuid: _until(note, api.clock) for note in notes if note.uuid is not None}


def all_kept(api: RentalApi) -> dict[str, float]:
    """The sessions of every key that were kept, as far as the store of intents sees them; as `kept_under`.

    Args:
        api: the API, and the store of intents.
    """
    return {note.uuid: _until(note, api.clock) for _, note in api.intents.kept() if note.uuid is not None}


def kept_now(api: RentalApi, key: str) -> frozenset[str]:
    """The sessions of a key that are to be left alone now.

    Args:
        api: the API, and the store of intents.
        key: the rental key, whole.
    """
    now = api.clock.time()
    return frozenset(uuid for uuid, until in kept_under(api, key).items() if now < until)


def is_kept(api: RentalApi, session: Session, key: str) -> bool | None:
    """Whether a session is kept.

    Args:
        api: the API, and the store of intents.
        session: the session.
        key: its rental key, whole.

    Returns:
        True until its time is over, False from then on; None for one that never was.
    """
    until = kept_under(api, key).get(session.uuid)
    return None if until is None else api.clock.time() < until


def forget_kept(api: RentalApi, key: str, uuids: Collection[str] | Iterable[str]) -> None:
    """Forget that sessions were kept which have been seen gone.

    Args:
        api: the API, and the store of intents.
        key: their rental key, whole.
        uuids: the sessions.
    """
    for uuid in kept_under(api, key).keys() & set(uuids):
        api.intents.remove(_noted_as(key), uuid)


def forget_ended(api: RentalApi, active: Iterable[Session], key: str | None = None) -> None:
    """Forget that sessions were kept of which the account tells that they have ended, whoever stopped them.

    One that it tells nothing of is another account's, or ended long ago: that is forgotten with time. Nothing depends
    on it, so an outage is no error.

    Args:
        api: the API, and the store of intents.
        active: the account's active sessions.
        key: a rental key, whole; of all keys when left out.
    """
    if key is None:
        notes = api.intents.kept()
    else:
        notes = tuple((_noted_as(key), note) for note in api.intents.read(_noted_as(key)))
    running = {session.uuid for session in active}
    gone = [(name, note.uuid) for name, note in notes if note.uuid is not None and note.uuid not in running]
    if not gone:
        return
    try:
        ended = {one.uuid for one in api.sessions.list(recent=True) if one.finished_at is not None}
    except OctaError as error:
        log.info("which of the sessions that were kept have ended can't be asked now: %s", error)
        return
    for name, uuid in gone:
        if uuid in ended:
            api.intents.remove(name, uuid)


def _until(note: Intent, clock: Clock) -> float:
    """Unix time until which a note holds: no wall clock that is set back, and no count that slept, makes it longer."""
    age_s = note.age_s(clock)
    if note.kept_until is None or age_s < -_AHEAD_S:
        return -math.inf
    return min(note.kept_until, clock.time() + note.kept_until - note.at - age_s)


def _noted_as(key: str) -> str:
    """Beside the key's own intents, which tell what may be adopted."""
    return f"kept/{key}"
