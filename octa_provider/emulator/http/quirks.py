"""Which of the live API's oddities an answer shows: decided by the seed, so that a failure can be replayed.

Each is evidence B or C in the API notes: a bug that an official client had against the live API, or a form of its own
fixtures. Records are odd in their fields only: a list holds objects.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache


@dataclass(frozen=True)
class Quirks:
    """The oddities of one emulator.

    Attributes:
        enabled: False gives the plain form of every field.
        seed: shifts which record shows which oddity.
    """

    enabled: bool
    seed: int

    def shows(self, oddity: str, ordinal: int, every: int = 2) -> bool:
        """Whether record number `ordinal` shows an oddity: one in `every` does, and never all at the same records."""
        return self.enabled and (ordinal + _shift(self.seed, oddity)) % every == 0

    def number(self, value: int, oddity: str, ordinal: int) -> int | str:
        """An integer, or the string of it."""
        return str(value) if self.shows(oddity, ordinal) else value

    def mapping(self, value: Mapping[str, object], oddity: str, ordinal: int) -> Mapping[str, object] | str:
        """An object, or the JSON string of it."""
        return json.dumps(value) if self.shows(oddity, ordinal) else value

    def port_list(self, value: list[int], ordinal: int) -> list[int] | str:
        """A list of ports, or the JSON string of it; an empty one also as an empty string."""
        if not self.shows("port list", ordinal):
            return value
        return "" if not value and self.shows("empty port list", ordinal, 4) else json.dumps(value)

    def time(self, unix_ms: int, ordinal: int) -> int | str:
        """Unix milliseconds, or ISO 8601."""
        if not self.shows("iso time", ordinal, 3):
            return unix_ms
        moment = datetime.fromtimestamp(unix_ms / 1000, tz=timezone.utc)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _shift(seed: int, oddity: str) -> int:
    return zlib.crc32(f"{seed}/{oddity}".encode())
