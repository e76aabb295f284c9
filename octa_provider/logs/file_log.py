"""Following a log that is kept in a file on the machine: only what is new in it is read.

The file only grows, so its length tells how far it was read. Where the last look came through the API, whose text may
begin elsewhere, the place in the file is told once from the end of what was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from octa_provider.logs.cursor import HEAD_BYTES, TAIL_BYTES, LogCursor
from octa_provider.logs.drawn_line import MAX_LINE_BYTES
from octa_provider.logs.new_lines import LogFollower
from octa_provider.logs.overlap import find_overlap
from octa_provider.logs.spool import SpooledText
from octa_provider.text.loggers import plain_logger
from octa_provider.text.open_character import open_character

__all__ = ["FileLog", "FilePart"]

log = plain_logger("octa_provider.logs.file_log")

#: So much at the end of a file is searched for what was seen through the API.
SEARCHED_BYTES = 4 * 1024 * 1024


class FilePart(NamedTuple):
    """A part of a file.

    Attributes:
        size: of the whole file, in bytes.
        data: from where it was asked for, as much as came.
    """

    size: int
    data: bytes


class FileLog:
    """A log in a file, read as it grows: each line once, in order.

    Args:
        read: reads the file from an offset on.
        cursor: how far an earlier follower was.
        on_unfinished: as `LogFollower` has it.
        secret: what neither a line nor the cursor may hold, the API key; as many asterisks stand in its place, as in a
            log that comes through the API.
    """

    def __init__(
        self,
        read: Callable[[int], FilePart],
        cursor: LogCursor | None = None,
        on_unfinished: Callable[[str], object] | None = None,
        secret: str = "",
    ) -> None:
        self._read_raw = read
        self._secret = secret.encode()
        self._on_unfinished = on_unfinished
        self._follower = LogFollower(cursor, on_unfinished=on_unfinished)

    @property
    def cursor(self) -> LogCursor:
        """How far it is."""
        return self._follower.cursor

    def new_lines(self) -> Iterator[str]:
        """The complete lines that were new when this was called. Stop at any: the rest comes another time.

        A line that is longer than 64 KB comes in pieces.

        Raises:
            OctaSshError: what `read` raises. Lines that were given do not come a second time.
        """
        if self.cursor.seen and not self.cursor.of_file:
            yield from self._find_place()
        end: int | None = None
        while end is None or self.cursor.seen < end:
            again = _read_again(self.cursor)
            part = self._read(self.cursor.seen - again)
            if part.size < self.cursor.seen:
                yield from self._begin_anew()
                continue
            data = part.data[: len(part.data) - open_character(part.data)]
            # What may be the beginning of the secret is not yet seen until more follows.
            data = data[: len(data) - _open_word(data, self._secret)]
            if len(data) <= again:
                return
            yield from self._follower.feed_rest(SpooledText.of(data[again:]), data[:again])
            if self.cursor.held > MAX_LINE_BYTES and b"\r" not in self.cursor.tail:
                yield from self._follower.finish()
            end = part.size if end is None else end

    def _read(self, offset: int) -> FilePart:
        size, data = self._read_raw(offset)
        return FilePart(size, data.replace(self._secret, b"*" * len(self._secret)) if self._secret else data)

    def _find_place(self) -> Iterator[str]:
        """Find the place in the file of what the API has shown."""
        past = self.cursor
        size = self._read(past.seen).size
        begin = max(0, size - SEARCHED_BYTES)
        data = self._read(begin).data
        if begin:
            found = data.rfind(past.tail)
            end = found + len(past.tail) if found >= 0 else 0
        else:
            end = find_overlap(
                SpooledText.of(data), LogCursor(past.seen, past.tail, past.held, past.head, of_file=True)
            )
        if not end:
            yield from self._begin_anew()
            return
        again = _open_word(data[:end], self._secret)
        end -= again
        seen, tail = begin + end, data[max(0, end - TAIL_BYTES) : end]
        head = past.head if begin else data[: min(end, HEAD_BYTES)]
        placed = LogCursor(seen, tail, min(max(0, past.held - again), seen), head, 0, past.gaps, of_file=True)
        self._follower = LogFollower(placed, on_unfinished=self._on_unfinished)

    def _begin_anew(self) -> Iterator[str]:
        log.warning("the file of a log was replaced by another one: lines may be missing, or come twice")
        yield from self._follower.finish()
        anew = LogCursor(gaps=self.cursor.gaps + 1, of_file=True)
        self._follower = LogFollower(anew, on_unfinished=self._on_unfinished)


def _open_word(data: bytes, word: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of a word that goes on."""
    for length in range(min(len(word) - 1, len(data)), 0, -1):
        if data.endswith(word[:length]):
            return length
    return 0


def _read_again(cursor: LogCursor) -> int:
    """How many bytes are read again: an unfinished line of which the cursor has not kept all.

    Of one that is drawn anew with carriage returns, what the last of them has left is enough.
    """
    is_kept = cursor.held <= len(cursor.tail) or b"\r" in cursor.tail[-cursor.held :]
    return 0 if is_kept else cursor.held
