"""A trigger's event as a log shows it: what happened, in a line, and not the whole state that travels with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow.triggers.base import TriggerEvent

from octa_provider.text.plain_text import plain_words

__all__ = ["ShownEvent"]

MOST_CHARS = 300


class ShownEvent(TriggerEvent):
    """An event; Airflow logs each, and would show its payload: kilobytes of a job's state, the end of its log in it.

    Args:
        payload: a dict with `what`, for `execute_resumed`.
    """

    def __repr__(self) -> str:
        return f"TriggerEvent<{', '.join(_parts(self.payload))}>"

    __str__ = __repr__


def _parts(payload: Mapping[str, Any]) -> Iterator[str]:
    """What a person asks of it. Its texts may be a stranger's."""
    yield str(payload["what"])
    job, result = _part(payload, "job"), _part(payload, "result")
    for name, value in (
        ("session", payload.get("uuid") or _part(payload, "session").get("uuid") or _part(job, "rental").get("uuid")),
        ("node", _part(payload, "machine").get("node_id")),
        ("outcome", result.get("outcome") or job.get("outcome")),
        ("exit code", job.get("exit_code")),
        ("message", payload.get("message")),
    ):
        if value is not None:
            yield f"{name} {plain_words(str(value))[:MOST_CHARS]}"


def _part(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = payload.get(name)
    return part if isinstance(part, Mapping) else {}
