"""Several sessions under one key: the oldest stays, and whoever sees another one stops it.

A try that was killed with its request under way can leave a session that no list showed when the next one started its
own. Nobody holds it, so that it would bill until a stop sweeps the key.

A session that took another one's place (`octa_provider.rental.mark.replaced_by`) stays before that one, which was
stopped, and shows again in a list that lags, or because its stop did not last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from octa_provider.models import SessionPhase
from octa_provider.rental.mark import RentalMark, replaced_by, runs_under

if TYPE_CHECKING:
    from octa_provider.models import Session

__all__ = ["later_twins", "oldest", "twins_of"]

_NEVER = datetime.max.replace(tzinfo=timezone.utc)


def oldest(sessions: Iterable[Session]) -> Session | None:
    """The session that stays: first by start, then by uuid, so that everybody who looks agrees.

    One that another of them took the place of does not.
    """
    several = list(sessions)
    replaced = frozenset[str]().union(*(replaced_by(session) for session in several))
    standing = [session for session in several if session.uuid not in replaced]
    return min(standing, key=lambda s: (s.started_at or _NEVER, s.uuid), default=None)


def later_twins(session: Session, sessions: Iterable[Session]) -> list[Session]:
    """The sessions of the same key that began after this one, or whose place it took.

    An older one is left to its holder.

    Args:
        session: the one that is held.
        sessions: the account's active sessions.
    """
    key, mark = session.rental_key, RentalMark.of(session)
    if key is None:
        return []
    return [
        mate
        for mate in sessions
        if (mate.rental_key == key if mark is None else runs_under(mate, key, mark.namespace))
        and mate.uuid != session.uuid
        and mate.phase is not SessionPhase.STOPPING
        and oldest((session, mate)) is session
    ]


def twins_of(uuids: Collection[str], sessions: Iterable[Session]) -> list[tuple[Session, Session]]:
    """The later twins of all that are watched, from one list.

    Args:
        uuids: the sessions that somebody watches.
        sessions: the account's active sessions.

    Returns:
        Each one that is watched, with each of its later twins.
    """
    keyed = {session.uuid: session for session in sessions if session.rental_key is not None}
    shared = {key for key, count in Counter(s.rental_key for s in keyed.values()).items() if count > 1}
    several = [session for session in keyed.values() if session.rental_key in shared]
    watched = [session for session in several if session.uuid in uuids]
    # Where somebody watches the twin too, which of the two stays is for them to find out.
    return [(one, twin) for one in watched for twin in later_twins(one, several) if twin.uuid not in uuids]
