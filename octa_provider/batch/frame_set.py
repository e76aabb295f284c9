"""Sets of frames, kept as ranges: a million frames that are shared out cost as much memory as there are shares."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["FrameSet"]


class FrameSet:
    """A set of places in a batch's list of frames, from 0. It can be changed; each operation costs log of its ranges.

    A place and not a frame's number, so that `1-1000x10` is one range too, and nothing past the end can be named.

    Args:
        ranges: pairs of first and stop (the place after the last), in any order.
    """

    __slots__ = ("_count", "_firsts", "_stops")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._stops: list[int] = []
        self._count = 0
        for first, stop in ranges:
            self.add_range(first, stop)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        for first, stop in zip(self._firsts, self._stops, strict=True):
            yield from range(first, stop)

    def __contains__(self, place: object) -> bool:
        if not isinstance(place, int):
            return False
        at = bisect_right(self._firsts, place) - 1
        return at >= 0 and place < self._stops[at]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FrameSet):
            return NotImplemented
        return self._firsts == other._firsts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FrameSet({self.ranges()!r})"

    @property
    def first(self) -> int:
        """The lowest place; raises IndexError when the set is empty."""
        return self._firsts[0]

    def ranges(self) -> list[tuple[int, int]]:
        """The ranges as pairs of first and stop, ascending, no two touching."""
        return list(zip(self._firsts, self._stops, strict=True))

    def copy(self) -> FrameSet:
        """The same set, to be changed on its own."""
        twin = FrameSet()
        twin._firsts, twin._stops, twin._count = self._firsts[:], self._stops[:], self._count
        return twin

    def add(self, place: int) -> None:
        """Add one place; one that is there changes nothing."""
        self.add_range(place, place + 1)

    def add_range(self, first: int, stop: int) -> None:
        """Add the places from `first` up to `stop`, which is not one of them."""
        if stop <= first:
            return
        # All ranges that overlap or touch the new one become one with it.
        low = bisect_right(self._firsts, first)
        if low and self._stops[low - 1] >= first:
            low -= 1
        high = bisect_right(self._firsts, stop)
        if low < high:
            first = min(first, self._firsts[low])
            stop = max(stop, self._stops[high - 1])
        self._count += stop - first - sum(self._stops[at] - self._firsts[at] for at in range(low, high))
        self._firsts[low:high] = [first]
        self._stops[low:high] = [stop]

    def update(self, other: FrameSet) -> None:
        """Add all places of another set."""
        for first, stop in other.ranges():
            self.add_range(first, stop)

    def discard(self, place: int) -> bool:
        """Take one place out; returns whether it was there."""
        at = bisect_right(self._firsts, place) - 1
        if at < 0 or place >= self._stops[at]:
            return False
        first, stop = self._firsts[at], self._stops[at]
        kept = [(low, high) for low, high in ((first, place), (place + 1, stop)) if low < high]
        self._firsts[at : at + 1] = [low for low, _ in kept]
        self._stops[at : at + 1] = [high for _, high in kept]
        self._count -= 1
        return True

    def remove(self, other: FrameSet) -> None:
        """Take all places of another set out; those that are not there change nothing."""
        for first, stop in other.ranges():
            self._remove_range(first, stop)

    def count_below(self, place: int) -> int:
        """How many places are lower than `place`."""
        ranges = zip(self._firsts[: bisect_right(self._firsts, place)], self._stops, strict=False)
        return sum(min(stop, place) - first for first, stop in ranges)

    def take_first(self, count: int) -> FrameSet:
        """Take the lowest `count` places out, or all there are, and return them."""
        taken = FrameSet()
        used = 0
        for first, stop in zip(self._firsts, self._stops, strict=True):
            if count <= 0:
                break
            end = min(stop, first + count)
            taken._append(first, end)
            count -= end - first
            if end < stop:
                self._firsts[used] = end
                break
            used += 1
        del self._firsts[:used], self._stops[:used]
        self._count -= len(taken)
        return taken

    def take_from(self, place: int, count: int) -> FrameSet:
        """Take `count` places out and return them: from `place` on, then the lowest, or all there are."""
        before = self.take_first(self.count_below(place))
        taken = self.take_first(count)
        taken.update(before.take_first(count - len(taken)))
        self.update(before)
        return taken

    def take_last(self, count: int) -> FrameSet:
        """Take the highest `count` places out, or all there are, and return them."""
        kept = self.take_first(max(0, self._count - max(0, count)))
        taken = FrameSet()
        taken._firsts, taken._stops, taken._count = self._firsts, self._stops, self._count
        self._firsts, self._stops, self._count = kept._firsts, kept._stops, kept._count
        return taken

    def _append(self, first: int, stop: int) -> None:
        self._firsts.append(first)
        self._stops.append(stop)
        self._count += stop - first

    def _remove_range(self, first: int, stop: int) -> None:
        low = max(0, bisect_right(self._firsts, first) - 1)
        high = bisect_right(self._firsts, stop - 1)
        kept: list[tuple[int, int]] = []
        for at in range(low, high):
            begin, end = self._firsts[at], self._stops[at]
            self._count -= max(0, min(end, stop) - max(begin, first))
            if end <= first or begin >= stop:
                kept.append((begin, end))
                continue
            kept += [(a, b) for a, b in ((begin, first), (stop, end)) if a < b]
        self._firsts[low:high] = [a for a, _ in kept]
        self._stops[low:high] = [b for _, b in kept]
