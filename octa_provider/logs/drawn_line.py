"""One line that comes in parts, and that may be drawn anew with carriage returns, as a progress bar is.

It has many states, and is one line, once it ends. Its states are told as they come, each once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["MAX_LINE_BYTES", "DrawnStates", "LineParts"]

MAX_LINE_BYTES = 64 * 1024
#: So much is told of one state of an unfinished line; what is longer is no progress bar.
MAX_STATE_BYTES = 4096
_STATE = re.compile(rb"[^\r]+")


class DrawnStates:
    """The states of one line that is drawn anew with carriage returns, from parts of it.

    Args:
        seen: how many bytes at its beginning an earlier look has seen, and told the states of.
    """

    def __init__(self, seen: int = 0) -> None:
        self._seen = seen
        self._at = 0
        self._last = b""
        self._is_drawn = False

    @property
    def untouched(self) -> bool:
        """Whether nothing of the line has come yet."""
        return not (self._at or self._seen)

    def add(self, part: bytes) -> Iterator[str]:
        """The states that this part shows to be over, since another one begins.

        Args:
            part: the next bytes of the line.
        """
        at, begin = self._at, 0
        self._at += len(part)
        if at < self._seen:
            # All that an earlier look has seen was told, but for the last state of it.
            old = part[: self._seen - at].rstrip(b"\r")
            if begin := old.rfind(b"\r") + 1:
                self._last = b""
        for match in _STATE.finditer(part, begin):
            if match.start() or self._is_drawn:
                if self._last and at + match.start() >= self._seen:
                    yield self._last.decode("utf-8", "replace")
                self._last = b""
            self._last += match[0][: MAX_STATE_BYTES - len(self._last)]
            self._is_drawn = False
        if part:
            self._is_drawn = part.endswith(b"\r")

    def now(self) -> str:
        """The last state; nothing where an earlier look has seen it as it is now."""
        if self._at <= self._seen:
            return ""
        text = self._last.decode("utf-8", "replace")
        return text if self._is_drawn else text.rstrip("0123456789.,")


class LineParts:
    """One line in parts, of which no more than `MAX_LINE_BYTES` are kept: its beginning, or what a `\r` left of it."""

    def __init__(self) -> None:
        self._kept = b""
        self._dropped = 0

    @property
    def empty(self) -> bool:
        """Whether nothing of the line is kept."""
        return not self._kept

    def add(self, part: bytes) -> None:
        """Put the next part behind the others.

        Args:
            part: without the line's end.
        """
        if len(self._kept) + len(part) <= MAX_LINE_BYTES and not self._dropped:
            self._kept += part
            return
        # A progress bar may go on for hours in one line: what its last carriage return overwrote need not be kept.
        rest, is_drawn = part.rstrip(b"\r"), self._kept.endswith(b"\r")
        again = rest.rfind(b"\r")
        if again >= 0 or (rest and is_drawn):
            self._kept, self._dropped, rest = b"", 0, rest[again + 1 :]
        else:
            self._kept = self._kept.rstrip(b"\r")
            self._kept = self._kept[self._kept.rfind(b"\r") + 1 :]
        room = 0 if self._dropped else MAX_LINE_BYTES - len(self._kept)
        self._kept += rest[:room]
        self._dropped += max(0, len(rest) - room)
        if part.endswith(b"\r") or (is_drawn and not part):
            self._kept += b"\r"

    def text(self) -> str:
        """The line, with a mark where it was cut."""
        text = self._kept.decode("utf-8", "replace")
        if not self._dropped:
            return text
        drawn = text.rstrip("\r")
        return f"{drawn} [cut: {self._dropped} more bytes in this line]"
