"""New lines out of a text that comes whole every time.

What was seen before is told from the overlap: the longest end of the seen text that the new text begins with. One rule
covers a text that grew (all of it overlaps), one that was cut at the front (a part does) and one that was replaced
(nothing does). Only the length and the last 4 KB of what was seen are remembered, so the state is small enough for an
orchestrator's database and another process can carry on.

Limits, where the text itself does not tell more:

- Where more than 4 KB repeat exactly (the same line again and again), a cut at the front can't be told from no cut;
  the longest overlap counts, so repeated lines may be missing, and none comes twice.
- A text that was replaced by one that begins with the last lines of the old one looks like a cut: those come once.
- A text that was cut to less than a whole line and less than 16 bytes of what was seen looks replaced.
- A shorter text with the old beginning is taken for an old answer, not for a new log, until it comes a third time.
- What was printed and replaced between two looks was never seen.

A line that is drawn anew with carriage returns, as a progress bar, has many states and is one line, once it ends. Its
states are told as they come, each once, to whoever asks for them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from octa_provider.errors import OctaConfigError
from octa_provider.logs.log_stream import SpooledText
from octa_provider.text.plain_log import plain_logger

__all__ = ["LogCursor", "LogFollower"]

log = plain_logger("octa_provider.logs.new_lines")

TAIL_BYTES = 4096
HEAD_BYTES = 256
MAX_LINE_BYTES = 64 * 1024
BLOCK_BYTES = 256 * 1024
SEARCH_BYTES = 4 * 1024 * 1024
#: A shorter overlap than this must hold a whole line: a few letters are alike by chance.
SURE_OVERLAP_BYTES = 16
STALE_ANSWERS = 2
#: What an API shows for each byte, or all bytes, of a character that is not whole: up to three.
TORN = "\ufffd".encode()
MAX_TORN = 3
MAX_TORN_BYTES = MAX_TORN * len(TORN)
#: So much is told of one state of an unfinished line; what is longer is no progress bar.
MAX_STATE_BYTES = 4096
_STATE = re.compile(rb"[^\r]+")


@dataclass(frozen=True)
class LogCursor:
    """How far a log has been followed: a small value, for another process to carry on from.

    Attributes:
        seen: bytes seen, the unfinished last line included.
        tail: the last of them, at most 4 KB.
        held: how many of them are the unfinished last line, which has not been given out.
        head: the first bytes of the text.
        stale: how many answers in a row were older than what had been seen.
        gaps: how often the text was replaced, so that lines may be missing.
    """

    seen: int = 0
    tail: bytes = b""
    held: int = 0
    head: bytes = b""
    stale: int = 0
    gaps: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The cursor as a JSON value of at most 6 KB."""
        return {
            "seen": self.seen,
            "tail": base64.b64encode(self.tail).decode(),
            "held": self.held,
            "head": base64.b64encode(self.head).decode(),
            "stale": self.stale,
            "gaps": self.gaps,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> LogCursor:
        """The cursor that `to_dict` made the value of.

        Raises:
            OctaConfigError: the value is something else.
        """
        try:
            seen, held, stale, gaps = (int(state.get(name, 0)) for name in ("seen", "held", "stale", "gaps"))
            tail, head = (base64.b64decode(state.get(name, ""), validate=True) for name in ("tail", "head"))
        except (TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise OctaConfigError(f"this is not the state of a log cursor: {error}") from None
        if len(tail) != min(seen, TAIL_BYTES) or not 0 <= held <= seen or len(head) > HEAD_BYTES:
            raise OctaConfigError("this is not the state of a log cursor: its parts do not fit together")
        return cls(seen=seen, tail=tail, held=held, head=head, stale=stale, gaps=gaps)


class LogFollower:
    """Gives each line of a growing log once, in order.

    Args:
        cursor: where an earlier follower was; from the start when left out.
        on_unfinished: called with each state of a line that is drawn anew with carriage returns, but for the one that
            the line ends with; and after a look with how its unfinished line stands then, if that is new. A number at
            the end of that may go on, and is left out. None of them is a line.

    Example:
        >>> follower = LogFollower()
        >>> list(follower.feed(SpooledText.of("one\\ntw")))
        ['one']
        >>> list(follower.feed(SpooledText.of("one\\ntwo\\n")))
        ['two']
    """

    def __init__(
        self, cursor: LogCursor | None = None, *, on_unfinished: Callable[[str], object] | None = None
    ) -> None:
        self._cursor = cursor or LogCursor()
        self._on_unfinished = on_unfinished
        self._states = _States()
        # Lines of a block are given out one by one; where in it we are is written down before each one.
        self._block = b""
        self._at = 0
        self._line = _Line()
        if self._cursor.held:
            self._line.add(self._cursor.tail[-self._cursor.held :])

    @property
    def cursor(self) -> LogCursor:
        """How far it is. A line counts as given when `feed` has yielded it."""
        if not self._at:
            return self._cursor
        past = self._cursor
        head = past.head
        if len(head) < HEAD_BYTES and len(head) == past.seen:
            head = (head + self._block[: self._at])[:HEAD_BYTES]
        tail = (past.tail + self._block[max(0, self._at - TAIL_BYTES) : self._at])[-TAIL_BYTES:]
        last = self._block.rfind(b"\n", 0, self._at)
        held = past.held + self._at if last < 0 else self._at - last - 1
        return LogCursor(past.seen + self._at, tail, held, head, past.stale, past.gaps)

    def feed(self, text: SpooledText, *, is_last: bool = False) -> Iterator[str]:
        """The complete lines that are new in `text`, without their ends; the unfinished last one is held.

        A line that is longer than 64 KB is cut, with a mark. Stop at any line and feed again later: the rest comes
        then. An empty text says nothing and changes nothing. U+FFFD at its very end may be half of a character that
        was being printed: not yet seen until more follows.

        Args:
            text: the whole log as it is now.
            is_last: nothing more will come: then what is at its end is what was printed.
        """
        self._settle()
        past = self._cursor
        text = text if is_last else _Whole(text)
        if not text.size:
            return
        if _is_stale(text, past):
            self._cursor = _replaced(past, stale=past.stale + 1)
            return
        overlap = _overlap(text, past)
        if not overlap and past.seen:
            log.warning("the log was replaced by another text: lines may be missing")
            yield from self.finish()
            self._cursor = LogCursor(gaps=past.gaps + 1)
            self._states = _States()
        else:
            start = _line_start(overlap, past)
            self._states = _States(overlap - start)
            # What is held is read again, so that it is whole also when it came from another process.
            tail = text.read(max(0, start - TAIL_BYTES), start - max(0, start - TAIL_BYTES))
            self._cursor = LogCursor(start, tail, 0, text.read(0, min(start, HEAD_BYTES)), 0, past.gaps)
            self._line = _Line()
        yield from self._lines(text)

    def finish(self) -> Iterator[str]:
        """The unfinished last line, when no more will come. Nothing if there is none."""
        self._settle()
        if self._cursor.held:
            self._cursor = _replaced(self._cursor, held=0)
            line, self._line = self._line, _Line()
            yield line.text()

    def _lines(self, text: SpooledText) -> Iterator[str]:
        while block := text.read(self._cursor.seen, BLOCK_BYTES):
            self._block = block
            lines = block.split(b"\n")
            rest = lines.pop()
            for line in lines:
                self._tell_states(line, is_end=True)
                self._at += len(line) + 1
                if self._line.empty and len(line) <= MAX_LINE_BYTES:
                    yield line.decode("utf-8", "replace")
                else:
                    self._line.add(line)
                    whole, self._line = self._line, _Line()
                    yield whole.text()
            self._tell_states(rest)
            self._at += len(rest)
            self._line.add(rest)
            self._settle()
        if self._on_unfinished is not None and (state := self._states.now()):
            self._on_unfinished(state)

    def _tell_states(self, part: bytes, *, is_end: bool = False) -> None:
        """Tell the states in a part of a line, but for the last one, which may be what the line ends with."""
        if self._on_unfinished is None:
            return
        if not (is_end and self._states.untouched and b"\r" not in part):
            for state in self._states.add(part):
                self._on_unfinished(state)
        if is_end:
            self._states = _States()

    def _settle(self) -> None:
        """Take what was given out of the block into the cursor."""
        self._cursor, self._block, self._at = self.cursor, b"", 0


class _Whole(SpooledText):
    """A text without what may be half a character at its end."""

    def __init__(self, text: SpooledText) -> None:
        self._text = text
        end = text.read(max(0, text.size - MAX_TORN_BYTES), MAX_TORN_BYTES)
        self.size = text.size - (len(end) - len(_without_torn_end(end)))

    def read(self, offset: int, length: int) -> bytes:
        return self._text.read(offset, max(0, min(length, self.size - offset)))


class _States:
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
        """The states that this part shows to be over, since another one begins."""
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


class _Line:
    """One line in parts, of which no more than `MAX_LINE_BYTES` are kept: its beginning, or what a `\r` left of it."""

    def __init__(self) -> None:
        self._kept = b""
        self._dropped = 0

    @property
    def empty(self) -> bool:
        return not self._kept

    def add(self, part: bytes) -> None:
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
        text = self._kept.decode("utf-8", "replace")
        if not self._dropped:
            return text
        drawn = text.rstrip("\r")
        return f"{drawn} [cut: {self._dropped} more bytes in this line]"


def _replaced(cursor: LogCursor, *, held: int | None = None, stale: int | None = None) -> LogCursor:
    return LogCursor(
        cursor.seen,
        cursor.tail,
        cursor.held if held is None else held,
        cursor.head,
        cursor.stale if stale is None else stale,
        cursor.gaps,
    )


def _line_start(overlap: int, past: LogCursor) -> int:
    """Where reading goes on: at the start of the line that was held. It may have lost its start to a cut."""
    return max(0, overlap - past.held)


def _without_torn_end(end: bytes) -> bytes:
    for _ in range(MAX_TORN):
        end = end.removesuffix(TORN)
    return end


def _is_stale(text: SpooledText, past: LogCursor) -> bool:
    """True for an answer that is older than what has been seen: shorter, with the same beginning."""
    head = past.head[: text.size]
    return text.size < past.seen and past.stale < STALE_ANSWERS and text.read(0, len(head)) == head


def _overlap(text: SpooledText, past: LogCursor) -> int:
    """How many bytes at the start of `text` are the end of what was seen, as far as the tail tells; 0 for none."""
    tail = past.tail
    if not tail:
        return 0
    if text.size >= past.seen and text.read(past.seen - len(tail), len(tail)) == tail:
        return past.seen
    if len(tail) < past.seen:
        found = _last_end_of(tail, text, min(past.seen - 1, text.size))
        if found:
            return found
    start = text.read(0, len(tail))
    return _overlap_at_start(tail, start) or _after_torn_start(tail, start)


def _after_torn_start(tail: bytes, start: bytes) -> int:
    """The overlap with a text that was cut inside a character, of which it shows U+FFFD."""
    torn = 0
    while torn < MAX_TORN * len(TORN) and start.startswith(TORN, torn):
        torn += len(TORN)
    found = _overlap_at_start(tail, start[torn:]) if torn else 0
    return found + torn if found else 0


def _overlap_at_start(tail: bytes, start: bytes) -> int:
    """The longest end of what was seen that a text begins with, if it is long enough to be no chance."""
    for length in range(min(len(tail) - 1, len(start)), 0, -1):
        end = tail[-length:]
        if not start.startswith(end):
            continue
        starts_a_line = tail[-length - 1] == 0x0A
        if length >= SURE_OVERLAP_BYTES or end.count(b"\n") >= (1 if starts_a_line else 2):
            return length
    return 0


def _last_end_of(wanted: bytes, text: SpooledText, limit: int) -> int:
    """Where the last occurrence of `wanted` that ends at or before `limit` ends; 0 for none.

    Both are turned round and searched forwards: that way Python's search is linear whatever the text, and block by
    block it needs no more memory than a block.
    """
    backwards = wanted[::-1]
    end = limit
    while end >= len(wanted):
        start = max(0, end - SEARCH_BYTES)
        found = text.read(start, end - start)[::-1].find(backwards)
        if found >= 0:
            return end - found
        if not start:
            break
        end = start + len(wanted) - 1
    return 0
