"""The order of a batch's frames: which place each has in the list that shares are cut of."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.order import in_order

__all__ = ["Places"]


class Places:
    """Places to frame numbers, and back.

    Args:
        numbers: the frames, ascending.
        order: as `in_order` takes it.

    Attributes:
        first_pass: how many places at the beginning are far apart in the film.
    """

    def __init__(self, numbers: tuple[int, ...], order: str = "forward") -> None:
        self._numbers, self.first_pass = in_order(numbers, order)
        self._sorted = numbers
        #: By index among the ascending numbers, the place; None where they are the same.
        self._place: array[int] | None = None
        if order != "forward":
            self._place = array("i", bytes(4 * len(numbers)))
            for place, number in enumerate(self._numbers):
                self._place[bisect_left(numbers, number)] = place

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, place: int) -> int:
        """The frame at a place."""
        return self._numbers[place]

    def numbers(self, places: Iterable[int]) -> tuple[int, ...]:
        """The frames at places, in that order."""
        return tuple(map(self.number, places))

    def place(self, number: int) -> int | None:
        """The place of a frame; None for one that is not asked for."""
        index = bisect_left(self._sorted, number)
        if index == len(self._sorted) or self._sorted[index] != number:
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
