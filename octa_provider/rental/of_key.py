"""The sessions of a key as they stand: found and stopped, without starting anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from octa_provider.errors import OctaError, OctaStartUnclearError
from octa_provider.rental.kept import forget_kept, kept_under
from octa_provider.rental.key import earlier_forms
from octa_provider.rental.lost_answer import LostAnswers
from octa_provider.rental.mark import RentalMark, runs_under
from octa_provider.rental.stop import sweep
from octa_provider.rental.twins import oldest
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi

__all__ = ["forget_claims", "session_of_key", "stop_key"]

log = plain_logger("octa_provider.rental.of_key")


def session_of_key(api: RentalApi, key: str) -> tuple[Session, str | None] | None:
    """The active session of a key, the oldest one when it has several; None when it has none.

    One that is kept for a look, its work having failed, is none.

    Args:
        api: the API, and the store of intents.
        key: the rental key, whole.

    Returns:
        The session, and what the store of intents knows it by where it does not tell its key.

    Raises:
        OctaStartUnclearError: what a lost request has left can't be told from somebody else's.
    """
    sessions = api.sessions.list()
    claims = _claims(api, key, sessions)
    names = earlier_forms(key, api.namespace)
    mine = [
        s
        for s in sessions
        if runs_under(s, key, api.namespace)
        or (s.rental_key in names and RentalMark.of(s) is None)
        or (s.rental_key is None and s.uuid in claims)
    ]
    kept = kept_under(api, key) if mine else {}
    session = oldest(s for s in mine if s.uuid not in kept)
    return None if session is None else (session, claims.get(session.uuid))


def stop_key(
    api: RentalApi, key: str, *, bare_key: str | None, deadline_s: float, leaves_kept: bool = False
) -> dict[str, Session | None]:
    """Stop every active session of a key; returns when they have been seen gone.

    Args:
        api: the API, and the store of intents.
        key: the rental key, whole.
        bare_key: the same without the namespace: what an earlier release started under it is stopped too.
        deadline_s: seconds to try for.
        leaves_kept: whether sessions that are kept for a look are left.

    Returns:
        What was stopped: uuid to the session as it was last seen.

    Raises:
        OctaStopError: some were still running, or not seen gone, when the deadline passed.
        OctaStartUnclearError: what a lost request of the key has left can't be told from somebody else's; what tells
            the key was stopped.
    """
    deadline = Deadline(api.clock, deadline_s)
    sessions: Sequence[Session] = ()
    try:
        sessions = api.within(deadline).sessions.list()
    except OctaError as error:
        # The sweep asks again, and says what may bill should nobody answer.
        log.info("what runs under %s can't be seen now: %s", key, error)
    unclear: OctaStartUnclearError | None = None
    try:
        claims = _claims(api, key, sessions)
    except OctaStartUnclearError as error:
        # What does tell the key is stopped all the same.
        claims, unclear = {}, error
    ended = sweep(api, uuids=tuple(claims), key=key, deadline_s=deadline_s, leaves_kept=leaves_kept)
    for attempt in claims.values():
        api.intents.remove(key, attempt)
    if ended and not leaves_kept:
        forget_kept(api, key, ended)
    if bare_key is not None:
        earlier = [s.uuid for s in sessions if s.rental_key == bare_key and RentalMark.of(s) is None]
        ended |= sweep(api, uuids=earlier, key=None, deadline_s=deadline_s)
    if unclear is not None:
        raise unclear
    return ended


def forget_claims(api: RentalApi, uuid: str, key: str | None) -> None:
    """Forget what was written down of a session that has been seen gone.

    Args:
        api: the API, and the store of intents.
        uuid: the session.
        key: its rental key, whole; the store is asked for it when it is not known.
    """
    known = api.intents.claimed().get(uuid) if key is None else key
    for intent in () if known is None else api.intents.read(known):
        if known is not None and intent.uuid == uuid:
            api.intents.remove(known, intent.attempt)


def _claims(api: RentalApi, key: str, sessions: Sequence[Session]) -> Mapping[str, str]:
    """What was written down of a key's sessions that may not tell it themselves: uuid to attempt.

    Raises:
        OctaStartUnclearError: what a lost request has left can't be told from somebody else's.
    """
    claims: dict[str, str] = {}
    for intent in api.intents.read(key):
        if intent.uuid is not None:
            claims[intent.uuid] = intent.attempt
            continue
        lost = LostAnswers(api, key, RentalMark("", intent.attempt), intent.service, 0.0)
        left = lost.left_by(intent, sessions)
        if left is not None:
            claims[left.uuid] = lost.claim(intent.attempt, left.uuid)
    return claims
