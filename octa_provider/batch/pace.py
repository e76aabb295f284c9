"""How hard the frames are beside the estimate, and how fast machines are beside their scores, told apart.

A machine that is slow, and a shot that is hard, look alike: both take long. Frames of one shot are alike, so two
machines that render frames side by side show how fast they are. And each place of the film that was seen counts once,
however many frames of it are done: an average over all frames, or over the shares that were begun, would be that of the
easy shots, of which more is done in the same time.

Work is counted in frames of the estimate: a frame of work 2 takes twice as long as an average one was thought to.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from octa_provider.batch.estimate import SHRINK_FRAMES

__all__ = ["Pace", "Seen"]

#: What was known before the batch counts as much as so many places of the film.
_MEASURED_SITES = 3
#: Frames that are no further apart are alike enough to compare two machines by.
_NEAR = 5
#: A machine counts as fast as its score until so many pairs of frames say otherwise.
_SHRINK_PAIRS = 5
#: Machines are slower than their scores by far more often than faster.
_FACTORS = (math.log(0.2), math.log(1.2))
#: No place counts as so many times harder than the average before its first frame has come.
_HARDEST = 3.0
#: What a share's frames take is told by about so many of its last ones.
_RECENT = 10
#: Frames further along than this are not like the one before any more.
_ALIKE = 40.0
#: Frames in a row that are one place of the film, at least and at most; and how many places a short film has.
_PLACE = (8, 64)
_PLACES = 32
#: The film's average counts in a place as much as so many frames of it.
_SHRINK_PLACE = 1.0


@dataclass(slots=True)
class Seen:
    """What was seen of one machine.

    Attributes:
        work: the average work of the last frames of its share.
        frames: how many frames that is of, 10 at most.
        pairs: how many pairs of frames compare it with others.
        logs: the logarithms of how much longer it took, summed.
    """

    work: float = 0.0
    frames: int = 0
    pairs: int = 0
    logs: float = 0.0

    @property
    def factor(self) -> float:
        """How fast the machine is beside its score: 0.35 when it takes three times as long."""
        low, high = _FACTORS
        return math.exp(min(high, max(low, -self.logs / (self.pairs + _SHRINK_PAIRS))))


class Pace:
    """What the frames that came tell.

    Args:
        frames: how many the film has.
        first_pass: so many at the beginning are no neighbours: they are far apart in the film.
    """

    def __init__(self, frames: int, first_pass: int = 0) -> None:
        self._first_pass = first_pass
        self._work = array("f", bytes(4 * frames))
        self._slot = array("i", bytes(4 * frames))
        self._long = min(_PLACE[1], max(_PLACE[0], frames // _PLACES))
        #: For each place: frames that are left, those that told what they took, and the work of these.
        self._left = [min(self._long, frames - first) for first in range(0, frames, self._long)]
        self._tellers = [0] * len(self._left)
        self._told = [0.0] * len(self._left)
        self._sites = 0
        self._site_sum = 0.0
        #: What is left: work that was told of by frames nearby, and frames that count as the film's average.
        self._known_left = 0.0
        self._unknown_left = float(frames)

    @property
    def sites(self) -> int:
        """How many places of the film were seen."""
        return self._sites

    @property
    def place(self) -> int:
        """How many frames in a row are one place of the film."""
        return self._long

    def average(self, at_least: Mapping[int, float] | None = None) -> float:
        """The work of an average frame of the film.

        Args:
            at_least: by frame that is being rendered, how much work that is already; a place that is hard would be
                heard of last.
        """
        told = self._site_sum + _MEASURED_SITES
        count = self._sites + _MEASURED_SITES
        average = told / count
        for work in self._untold(at_least or {}).values():
            if work > average:
                # One that hangs tells nothing of the others.
                told += min(work, _HARDEST * average)
                count += 1
        return told / count

    def work_left(self, average: float, at_least: Mapping[int, float] | None = None) -> float:
        """All the work that is left, as the frames nearby have it.

        Args:
            average: the work of an average frame, for those that no frame nearby tells of.
            at_least: by frame that is being rendered, how much work that is already.
        """
        more = sum(
            self._left[site] * max(0.0, min(work, _HARDEST * average) - average)
            for site, work in self._untold(at_least or {}).items()
        )
        return self._known_left + average * self._unknown_left + more

    def untold(self, begun: Iterable[int]) -> int:
        """Of how many places with a frame that is being rendered no frame has come yet."""
        return len(self._untold(dict.fromkeys(begun, 0.0)))

    def gone(self, first: int, stop: int) -> None:
        """Frames are not left to do any more."""
        while first < stop:
            site = first // self._long
            end = min(stop, (site + 1) * self._long)
            self._count(site, gone=end - first)
            first = end

    def near(self, frame: int, average: float) -> float:
        """The work of a frame, as those of its place have it.

        Args:
            frame: which.
            average: the work of an average frame.
        """
        site = frame // self._long
        return (self._told[site] + average * _SHRINK_PLACE) / (self._tellers[site] + _SHRINK_PLACE)

    def of_share(self, seen: Seen, average: float) -> float:
        """The work of the next frames of a machine's share, its own speed included.

        Args:
            seen: of the machine.
            average: the work of an average frame of that place.
        """
        return (seen.work * seen.frames + average * SHRINK_FRAMES / seen.factor) / (seen.frames + SHRINK_FRAMES)

    @staticmethod
    def alike(frames: int) -> float:
        """How many of the next frames in a row count as being like the next one, the others as an average one."""
        return _ALIKE * (1 - math.exp(-frames / _ALIKE))

    def new_share(self, seen: Seen) -> None:
        """A machine goes on at another place."""
        seen.work, seen.frames = 0.0, 0

    def add(self, slot: int, frame: int, work: float, seen: Mapping[int, Seen]) -> None:
        """A frame came.

        Args:
            slot: from which machine.
            frame: which.
            work: what it took the machine, at the speed its score promises.
            seen: of each machine that is rented.
        """
        mine = seen[slot]
        mine.frames = min(mine.frames + 1, _RECENT)
        mine.work += (work - mine.work) / mine.frames
        self._work[frame], self._slot[frame] = work, slot
        self._count(frame // self._long, told=work * mine.factor)
        for place in (frame - _NEAR, frame + _NEAR):
            if min(place, frame) < self._first_pass or place >= len(self._work):
                continue
            if self._work[place] > 0 and self._slot[place] != slot and work > 0:
                longer = math.log(work / self._work[place])
                mine.pairs += 1
                mine.logs += longer
                other = seen.get(self._slot[place])
                if other is not None:
                    other.pairs += 1
                    other.logs -= longer

    def _untold(self, at_least: Mapping[int, float]) -> dict[int, float]:
        """The same by place, for those of which no frame has come."""
        found: dict[int, float] = {}
        for frame, work in at_least.items():
            site = frame // self._long
            if not self._tellers[site]:
                found[site] = max(work, found.get(site, 0.0))
        return found

    def _count(self, site: int, *, gone: int = 0, told: float | None = None) -> None:
        """Frames of a place have gone, or one has told its work."""
        for sign in (-1, 1):
            tellers = self._tellers[site]
            self._known_left += sign * self._left[site] * self._told[site] / (tellers + _SHRINK_PLACE)
            self._unknown_left += sign * self._left[site] * _SHRINK_PLACE / (tellers + _SHRINK_PLACE)
            if tellers:
                self._site_sum += sign * self._told[site] / tellers
            if sign < 0:
                self._left[site] -= gone
                if told is not None:
                    self._sites += not tellers
                    self._told[site] += told
                    self._tellers[site] += 1
