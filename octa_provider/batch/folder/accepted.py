"""The frames that are accepted, in some 60 bytes each: a million of them are held while a batch runs."""

from __future__ import annotations

import math
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from octa_provider.batch.folder.lines import FileLine, FrameLine

__all__ = ["AcceptedFrames"]

_SUM_BYTES = 32
#: How a frame stands that was accepted once.
_IN, _DROPPED = 1, 2


class AcceptedFrames:
    """A set of frame numbers, and what is known of each frame.

    Args:
        numbers: all frames that can be in it, ascending.
        files: how many files a frame has.
    """

    def __init__(self, numbers: Sequence[int], files: int) -> None:
        count = len(numbers)
        self._numbers = array("i", numbers)
        self._files = files
        self._states = bytearray(count)
        self._is_checked = bytearray(count)
        self._count = 0
        self._bytes = array("q", bytes(8 * files * count))
        self._mtimes = array("q", bytes(8 * files * count))
        self._sums = bytearray(_SUM_BYTES * files * count)
        self._slots = array("i", bytes(4 * count))
        self._nodes = array("q", bytes(8 * count))
        self._seconds = array("f", bytes(4 * count))
        self._tries = array("i", bytes(4 * count))
        # Most frames are asked for as one range: the place of a number is then told without looking for it.
        self._first = numbers[0] if count else 0
        self._is_range = count > 0 and numbers[-1] - numbers[0] == count - 1

    def __len__(self) -> int:
        return self._count

    def __contains__(self, frame: object) -> bool:
        if not isinstance(frame, int):
            return False
        at = self._place(frame)
        return at >= 0 and self._states[at] == _IN

    def __iter__(self) -> Iterator[int]:
        """Ascending."""
        return (number for number, state in zip(self._numbers, self._states, strict=True) if state == _IN)

    @property
    def asked(self) -> Sequence[int]:
        """All frames that can be in it, ascending."""
        return self._numbers

    def is_asked(self, frame: int) -> bool:
        """Whether a frame can be in it."""
        return self._place(frame) >= 0

    def missing(self) -> Iterator[int]:
        """Those that are not in it, ascending."""
        return (number for number, state in zip(self._numbers, self._states, strict=True) if state != _IN)

    def dropped(self) -> Iterator[int]:
        """Those that were in it and are no more, ascending."""
        return (number for number, state in zip(self._numbers, self._states, strict=True) if state == _DROPPED)

    def was_put(self, frame: int) -> bool:
        """Whether a frame is in it, or was."""
        at = self._place(frame)
        return at >= 0 and self._states[at] != 0

    def put(self, line: FrameLine) -> None:
        """A frame is accepted; one that can't be in it changes nothing.

        Args:
            line: what the journal says of it.
        """
        at = self._place(line.frame)
        if at < 0 or len(line.files) != self._files:
            return
        for place, file in enumerate(line.files, self._files * at):
            self._bytes[place] = file.bytes
            self._mtimes[place] = file.mtime_ns
            self._sums[_SUM_BYTES * place : _SUM_BYTES * (place + 1)] = bytes.fromhex(file.sha256)
        self._slots[at], self._nodes[at], self._tries[at] = line.slot, line.node_id, line.tries
        self._seconds[at] = math.nan if line.seconds is None else line.seconds
        self._count += self._states[at] != _IN
        self._states[at], self._is_checked[at] = _IN, 0

    def seen(self, frame: int, mtimes_ns: Sequence[int]) -> None:
        """A frame's files have other times of change.

        Args:
            frame: which.
            mtimes_ns: of each file, in ns.
        """
        at = self._place(frame)
        if at >= 0 and len(mtimes_ns) == self._files:
            self._mtimes[self._files * at : self._files * (at + 1)] = array("q", mtimes_ns)

    def drop(self, frame: int) -> None:
        """A frame is not accepted any more."""
        at = self._place(frame)
        if at >= 0 and self._states[at] == _IN:
            self._count -= 1
            self._states[at] = _DROPPED

    def mark_checked(self, frame: int) -> None:
        """The contents of a frame's files were looked at by this process."""
        self._is_checked[self._place(frame)] = 1

    def is_checked(self, frame: int) -> bool:
        """Whether the contents of an accepted frame's files were looked at by this process."""
        return bool(self._is_checked[self._place(frame)])

    def is_as_it_was(self, frame: int, infos: Sequence[os.stat_result]) -> bool:
        """Whether files have the sizes and times of change that an accepted frame's have.

        Args:
            frame: which.
            infos: of each of its files.
        """
        begin = self._files * self._place(frame)
        return all(
            info.st_size == self._bytes[at] and info.st_mtime_ns == self._mtimes[at]
            for at, info in enumerate(infos, begin)
        )

    def files(self, frame: int) -> tuple[FileLine, ...]:
        """What is known of an accepted frame's files."""
        begin = self._files * self._place(frame)
        return tuple(
            FileLine(self._bytes[at], self._mtimes[at], self._sums[_SUM_BYTES * at : _SUM_BYTES * (at + 1)].hex())
            for at in range(begin, begin + self._files)
        )

    def slot(self, frame: int) -> int:
        """The number of the machine that an accepted frame came from."""
        return self._slots[self._place(frame)]

    def node_id(self, frame: int) -> int:
        """The machine that an accepted frame came from."""
        return self._nodes[self._place(frame)]

    def seconds(self, frame: int) -> float | None:
        """What an accepted frame took, in seconds; None where nothing tells."""
        told = self._seconds[self._place(frame)]
        return None if math.isnan(told) else told

    def tries(self, frame: int) -> int:
        """How many tries an accepted frame took."""
        return self._tries[self._place(frame)]

    def _place(self, frame: int) -> int:
        if self._is_range:
            at = frame - self._first
            return at if 0 <= at < len(self._numbers) else -1
        at = bisect_left(self._numbers, frame)
        return at if at < len(self._numbers) and self._numbers[at] == frame else -1
