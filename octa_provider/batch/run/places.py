"""The order of a batch's frames: which place each has in the list that shares are cut of."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from octa_provider.batch.frame_set import FrameSet

__all__ = ["Places"]


class Places:
    """Places to frame numbers, and back.

    Args:
        numbers: the frames, ascending.
        order: `forward`, `backward`, or `spread`: each frame is far from those before it, so that the whole film is seen
            early, and finer as it goes on.
    """

    def __init__(self, numbers: tuple[int, ...], order: str = "forward") -> None:
        self._numbers = numbers
        count = len(numbers)
        #: By place, the frame's index among the ascending numbers; None where they are the same.
        self._index: array[int] | None = None
        if order == "backward":
            self._index = array("i", range(count - 1, -1, -1))
        elif order == "spread":
            self._index = array("i", _spread(count))
        self._place: array[int] | None = None
        if self._index is not None:
            self._place = array("i", bytes(4 * count))
            for place, index in enumerate(self._index):
                self._place[index] = place

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, place: int) -> int:
        """The frame at a place."""
        return self._numbers[place if self._index is None else self._index[place]]

    def numbers(self, places: Iterable[int]) -> tuple[int, ...]:
        """The frames at places, in that order."""
        return tuple(map(self.number, places))

    def place(self, number: int) -> int | None:
        """The place of a frame; None for one that is not asked for."""
        index = bisect_left(self._numbers, number)
        if index == len(self._numbers) or self._numbers[index] != number:
            return None
        return index if self._place is None else self._place[index]

    def places(self, numbers: Iterable[int]) -> FrameSet:
        """The places of frames; those that are not asked for are left out."""
        found = FrameSet()
        for number in numbers:
            place = self.place(number)
            if place is not None:
                found.add(place)
        return found


def _spread(count: int) -> Iterable[int]:
    """0 to count - 1, the ends first, then the middles of what is left, ever finer."""
    step = 1
    while step < count:
        step *= 2
    seen = bytearray(count)
    if count:
        yield from (at for at in dict.fromkeys((0, count - 1)) if not seen[at] and not seen.__setitem__(at, 1))
    while step:
        for at in range(0, count, step):
            if not seen[at]:
                seen[at] = 1
                yield at
        step //= 2
