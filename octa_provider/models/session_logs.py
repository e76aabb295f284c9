"""The logs of a session."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from octa_provider.wire.exact_json import require_object
from octa_provider.wire.fields import items, moment, text
from octa_provider.wire.model import Model

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Logs", "SystemEntry"]


class SystemEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a session's system log.

    Attributes:
        at: when, aware, UTC; None when the entry does not say.
        message: the text.
    """

    at: datetime | None = None
    message: str


class Logs(Model, frozen=True, kw_only=True):
    """`GET /services/{uuid}/logs` (evidence S): the whole text every time.

    Attributes:
        container: what the container printed so far.
        system: what the platform says about it, in the order received.
    """

    hidden = ("raw", "container")

    container: str = ""
    system: tuple[SystemEntry, ...] = ()

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "logs", ("container", "system"))
        container, system = raw.get("container"), raw.get("system")
        if isinstance(container, list):
            container = "\n".join(line for line in container if isinstance(line, str))
        if isinstance(system, str) and not system.lstrip().startswith("["):
            system = system.splitlines()
        return cls(
            raw=raw,
            container=container if isinstance(container, str) else "",
            system=tuple(entry for entry in map(_entry, items(system)) if entry is not None),
        )


def _entry(value: object) -> SystemEntry | None:
    if isinstance(value, dict):
        message = value.get("msg")
        at = moment(value.get("ts"))
        # A time alone still tells that something happened.
        return SystemEntry(at=at, message=message if isinstance(message, str) else "") if message or at else None
    line = text(value)
    return None if line is None else SystemEntry(message=line)
