"""The event by which `OctaJobTrigger` sends a task back to a worker, as the worker reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["event_or_broken", "key_told_by", "uuid_told_by"]


def event_or_broken(event: dict[str, Any] | None) -> dict[str, Any]:
    """The event; one of its own for a trigger that told nothing.

    Args:
        event: as Airflow hands it over.
    """
    return event or {"what": "broken", "message": "the trigger told nothing"}


def key_told_by(event: Mapping[str, Any]) -> str | None:
    """The whole rental key of the job that an event is about, where the client that knows its namespace is missing.

    Args:
        event: also of another version of this package, which may tell it in another way.
    """
    job = event.get("job")
    key = job.get("key") if isinstance(job, Mapping) else None
    return key if isinstance(key, str) else None


def uuid_told_by(event: Mapping[str, Any]) -> str | None:
    """The session that an event is about.

    Args:
        event: also of another version of this package, which may tell it in another way.
    """
    job = event.get("job")
    rental = job.get("rental") if isinstance(job, Mapping) else None
    return rental.get("uuid") if isinstance(rental, Mapping) else None
