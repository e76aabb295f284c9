"""The last part of a text that comes in pieces, in bounded memory."""

from __future__ import annotations

from collections import deque


class Tail:
    """The last part of a text that comes in pieces; `str` gives it.

    Args:
        limit: characters to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: deque[str] = deque()
        self._length = 0

    def add(self, piece: str) -> None:
        """Take the next piece."""
        self._pieces.append(piece)
        self._length += len(piece)
        while self._length - len(self._pieces[0]) >= self._limit:
            self._length -= len(self._pieces.popleft())

    def __str__(self) -> str:
        return "".join(self._pieces)[-self._limit :]
