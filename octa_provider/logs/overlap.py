"""What of a log that comes whole every time was seen before.

It is told from the overlap: the longest end of the seen text that the new text begins with. One rule covers a text that
grew (all of it overlaps), one that was cut at the front (a part does) and one that was replaced (nothing does).

Limits, where the text itself does not tell more:

- Where more than 4 KB repeat exactly (the same line again and again), a cut at the front can't be told from no cut;
  the longest overlap counts, so repeated lines may be missing, and none comes twice.
- A text that was replaced by one that begins with the last lines of the old one looks like a cut: those come once.
- A text that was cut to less than a whole line and less than 16 bytes of what was seen looks replaced.
- A shorter text with the old beginning is taken for an old answer, not for a new log, until it comes a third time.
"""

from __future__ import annotations

from octa_provider.logs.cursor import LogCursor
from octa_provider.logs.log_stream import SpooledText
from octa_provider.logs.torn import MAX_TORN, TORN

__all__ = ["find_overlap", "is_stale"]

SEARCH_BYTES = 4 * 1024 * 1024
#: A shorter overlap than this must hold a whole line: a few letters are alike by chance.
SURE_OVERLAP_BYTES = 16
STALE_ANSWERS = 2


def is_stale(text: SpooledText, past: LogCursor) -> bool:
    """Tell whether an answer is older than what has been seen: shorter, with the same beginning.

    Args:
        text: the whole log, as it has just come.
        past: how far it was followed before.
    """
    head = past.head[: text.size]
    return text.size < past.seen and past.stale < STALE_ANSWERS and text.read(0, len(head)) == head


def find_overlap(text: SpooledText, past: LogCursor) -> int:
    """Find how many bytes at the start of a text are the end of what was seen, as far as the tail tells; 0 for none.

    Args:
        text: the whole log, as it has just come.
        past: how far it was followed before.
    """
    tail = past.tail
    if not tail:
        return 0
    if text.size >= past.seen and text.read(past.seen - len(tail), len(tail)) == tail:
        return past.seen
    if len(tail) < past.seen or past.of_file:
        # In front of what a file holds an API may show what the container's own start has printed.
        furthest = text.size if past.of_file else min(past.seen - 1, text.size)
        found = _last_end_of(tail, text, furthest)
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
