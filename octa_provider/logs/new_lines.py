"""New lines out of a text that comes whole every time.

What was seen before is told from the overlap of the two: see `overlap.py`, also for what can't be told. Only the length
and the last 4 KB of what was seen are remembered, so the state is small enough for an orchestrator's database and
another process can carry on. What was printed and replaced between two looks was never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from octa_provider.logs.cursor import HEAD_BYTES, TAIL_BYTES, LogCursor
from octa_provider.logs.drawn_line import MAX_LINE_BYTES, DrawnStates, LineParts
from octa_provider.logs.log_stream import SpooledText
from octa_provider.logs.overlap import find_overlap, is_stale
from octa_provider.logs.torn import WholeCharacters
from octa_provider.text.loggers import plain_logger

__all__ = ["LogFollower"]

log = plain_logger("octa_provider.logs.new_lines")

BLOCK_BYTES = 256 * 1024


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
        self._states = DrawnStates()
        # Lines of a block are given out one by one; where in it we are is written down before each one.
        self._block = b""
        self._at = 0
        self._line = LineParts()
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
        return LogCursor(past.seen + self._at, tail, held, head, past.stale, past.gaps, past.of_file)

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
        text = text if is_last else WholeCharacters(text)
        if not text.size:
            return
        if not past.of_file and is_stale(text, past):
            self._cursor = msgspec.structs.replace(past, stale=past.stale + 1)
            return
        overlap = find_overlap(text, past)
        if past.of_file and past.seen and not overlap:
            # The file has been read further than an API has come, which says nothing new then.
            return
        if not overlap and past.seen:
            log.warning("the log was replaced by another text: lines may be missing")
            yield from self.finish()
            self._cursor = LogCursor(gaps=past.gaps + 1)
            self._states = DrawnStates()
        else:
            # Reading goes on at the start of the line that was held. It may have lost its start to a cut.
            start = max(0, overlap - past.held)
            self._states = DrawnStates(overlap - start)
            # What is held is read again, so that it is whole also when it came from another process.
            tail = text.read(max(0, start - TAIL_BYTES), start - max(0, start - TAIL_BYTES))
            self._cursor = LogCursor(start, tail, 0, text.read(0, min(start, HEAD_BYTES)), 0, past.gaps)
            self._line = LineParts()
        yield from self._lines(text)

    def feed_rest(self, rest: SpooledText, unfinished: bytes = b"") -> Iterator[str]:
        """The complete lines that are new in a file that only grows, of which only what is new has been read.

        Args:
            rest: the file from `cursor.seen` on.
            unfinished: the line that was held, where it is longer than the cursor has kept.
        """
        self._settle()
        past = self._cursor
        unfinished = unfinished or past.tail[len(past.tail) - min(past.held, len(past.tail)) :]
        self._cursor = msgspec.structs.replace(past, stale=0, of_file=True)
        self._line = LineParts()
        self._line.add(unfinished)
        # What was seen of its states has been told.
        self._states = DrawnStates(len(unfinished))
        self._tell_states(unfinished)
        yield from self._lines(rest, past.seen)

    def finish(self) -> Iterator[str]:
        """The unfinished last line, when no more will come. Nothing if there is none."""
        self._settle()
        if self._cursor.held:
            self._cursor = msgspec.structs.replace(self._cursor, held=0)
            line, self._line = self._line, LineParts()
            yield line.text()

    def _lines(self, text: SpooledText, begins_at: int = 0) -> Iterator[str]:
        while block := text.read(self._cursor.seen - begins_at, BLOCK_BYTES):
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
                    whole, self._line = self._line, LineParts()
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
            self._states = DrawnStates()

    def _settle(self) -> None:
        """Take what was given out of the block into the cursor."""
        self._cursor, self._block, self._at = self.cursor, b"", 0
