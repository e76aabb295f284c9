"""The event by which a trigger sends a task back to a worker, as the worker reads it.

It may be another task's: in SQLite a trigger gets the id of one that has been deleted, and a triggerer that was held up
meanwhile tells what it knows of the old one under the id that is the new one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["anothers_text", "event_or_broken", "is_anothers", "key_told_by", "uuid_told_by"]


def event_or_broken(event: dict[str, Any] | None) -> dict[str, Any]:
    """The event; one of its own for a trigger that told nothing.

    Args:
        event: as Airflow hands it over.
    """
    return event or {"what": "broken", "message": "the trigger told nothing"}


def anothers_text(event: Mapping[str, Any], uuid: str | None) -> str:
    """What a task says that was told what another one waits for.

    Args:
        event: the event.
        uuid: the session of the task.
    """
    own = uuid or "its own"
    return f"The triggerer answered with session {uuid_told_by(event)}, which is another task's: going on with {own}"


def key_told_by(event: Mapping[str, Any]) -> str | None:
    """The whole rental key of the job that an event is about, where the client that knows its namespace is missing.

    Args:
        event: also of another version of this package, which may tell it in another way.
    """
    job = event.get("job")
    key = job.get("key") if isinstance(job, Mapping) else None
    return key if isinstance(key, str) else None


def uuid_told_by(event: Mapping[str, Any]) -> str | None:
    """The session that an event of a job or a session is about.

    Args:
        event: also of another version of this package, which may tell it in another way.
    """
    job = event.get("job")
    rental = job.get("rental") if isinstance(job, Mapping) else event.get("session", event)
    uuid = rental.get("uuid") if isinstance(rental, Mapping) else None
    return uuid if isinstance(uuid, str) else None


def is_anothers(event: Mapping[str, Any], uuid: str | None, key: str | None = None) -> bool:
    """Whether an event is about another session than the task's, or about another task's job.

    Args:
        event: also of another version of this package, which may tell it in another way.
        uuid: the task's session; None where it is not known, or not rented yet.
        key: the task's rental key, without a namespace; None where the job may be another task's.
    """
    told, told_key = uuid_told_by(event), key_told_by(event)
    if None not in {told_key, key} and not f"/{told_key}".endswith(f"/{key}"):
        return True
    return None not in {told, uuid} and told != uuid
