"""How far a log has been followed: a value that travels between processes. This file imports no HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from octa_provider.wire.state import read_state

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "LogCursor"]

TAIL_BYTES = 4096
HEAD_BYTES = 256
_Count = Annotated[int, msgspec.Meta(ge=0)]


class LogCursor(msgspec.Struct, frozen=True):
    """How far a log has been followed: a small value, for another process to carry on from.

    Attributes:
        seen: bytes seen, the unfinished last line included.
        tail: the last of them, at most 4 KB.
        held: how many of them are the unfinished last line, which has not been given out.
        head: the first bytes of the text.
        stale: how many answers in a row were older than what had been seen.
        gaps: how often the text was replaced, so that lines may be missing.
        of_file: it counts the bytes of the file itself that the log is kept in, which only grows: see `FileLog`.

    Raises:
        ValueError: its parts do not fit together.
    """

    seen: _Count = 0
    tail: bytes = b""
    held: _Count = 0
    head: bytes = b""
    stale: _Count = 0
    gaps: _Count = 0
    of_file: bool = False

    def __post_init__(self) -> None:
        if len(self.tail) != min(self.seen, TAIL_BYTES) or self.held > self.seen or len(self.head) > HEAD_BYTES:
            raise ValueError("its parts do not fit together")

    def to_dict(self) -> dict[str, Any]:
        """The cursor as a JSON value of at most 6 KB; `from_dict` reads it."""
        return dict(msgspec.to_builtins(self))

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> LogCursor:
        """The cursor that `to_dict` made the value of; names that are not known are left out.

        Args:
            state: as `to_dict` gave it.

        Raises:
            OctaConfigError: the value is something else.
        """
        return read_state(LogCursor, state, "the state of a log cursor")
