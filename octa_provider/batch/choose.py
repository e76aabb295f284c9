"""Which machines do a given work by a given time for the least money: a fixed-charge greedy, n log n."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from math import inf

from octa_provider.batch.estimate import MachineEstimate

__all__ = ["Choice", "Fleet"]

#: Halvings of the interval that a price per frame is looked for in, when there may be few machines.
_HALVINGS = 8
#: So many times the dearest frame, a price for a frame is beyond all machines.
_FAR = 1e6


@dataclass(frozen=True)
class Choice:
    """Machines that do the work together.

    Attributes:
        picked: their places in the fleet, in the order they are to be rented.
        ready_s: for each, when its first frame begins, from the start of the batch in seconds, as an average frame
            that is cut off by the end costs half of itself.
        rent_s: for each, when it is rented: later than 0 where it would only wait for the scene to be sent.
    """

    picked: tuple[int, ...]
    ready_s: tuple[float, ...]
    rent_s: tuple[float, ...]


class Fleet:
    """Machines to choose from.

    Args:
        machines: what is expected of each.
    """

    def __init__(self, machines: Sequence[MachineEstimate]) -> None:
        self.machines = machines
        self.price = [machine.price_wei / 3600 for machine in machines]
        self.speed = [machine.speed for machine in machines]
        self.upload = [machine.upload_s for machine in machines]
        # Half a frame a machine is lost at the end, on average.
        self.ready = [machine.start_s + machine.upload_s + 0.5 / machine.speed for machine in machines]
        self._sends = any(self.upload)
        #: Sorted before, it is nearly sorted for the next time that is tried, which takes a linear sort.
        self._order = list(range(len(machines)))
        self._worth: float | None = None

    def in_order(self, within_s: float) -> list[int]:
        """The places of the machines that finish a frame in time, the cheapest frame first: the money until then over
        the frames until then."""
        keys = [
            price / (speed * (within_s - ready)) if within_s - ready >= 0.5 / speed else inf
            for price, speed, ready in zip(self.price, self.speed, self.ready, strict=True)
        ]
        self._order.sort(key=keys.__getitem__)
        return [at for at in self._order if keys[at] < inf]

    def choose(self, work: float, within_s: float, most: int) -> Choice | None:
        """The machines for a work.

        Args:
            work: in frames.
            within_s: seconds from the start of the batch.
            most: at most so many machines.

        Returns:
            None when no machines do it in time.
        """
        picked = self._picked(work, within_s, most)
        return None if picked is None else self.schedule(picked)

    def roughly_wei(self, work: float, within_s: float, most: int) -> float:
        """What those machines cost if all of them run until then, in wei; infinite when none do it in time."""
        picked = self._picked(work, within_s, most)
        if picked is None:
            return inf
        price = self.price
        if not self._sends:
            return within_s * sum([price[at] for at in picked])
        return sum(price[at] * (within_s - rent) for at, rent in zip(picked, self.schedule(picked).rent_s, strict=True))

    def schedule(self, picked: Sequence[int]) -> Choice:
        """When each of these machines is rented, and ready: the scene goes to one after the other."""
        if not self._sends:
            return Choice(tuple(picked), tuple([self.ready[at] for at in picked]), (0.0,) * len(picked))
        ready: list[float] = []
        rent: list[float] = []
        line_free_s = 0.0
        for at in picked:
            waits_s = max(0.0, line_free_s - self.machines[at].start_s)
            rent.append(waits_s)
            ready.append(self.ready[at] + waits_s)
            line_free_s += self.upload[at]
        return Choice(tuple(picked), tuple(ready), tuple(rent))

    def _picked(self, work: float, within_s: float, most: int) -> list[int] | None:
        order = self.in_order(within_s)
        picked = self._greedy(order, work, within_s, most)
        return self._of_few(order, work, within_s, most) if picked is None and len(order) > most else picked

    def _greedy(self, order: list[int], work: float, within_s: float, most: int) -> list[int] | None:
        speed, ready, upload, machines = self.speed, self.ready, self.upload, self.machines
        rest = work
        waited_s = 0.0
        for count, at in enumerate(order):
            # Its turn on the line comes when it is up, or later.
            waits_s = waited_s - machines[at].start_s if self._sends else 0.0
            could = speed[at] * (within_s - (ready[at] + waits_s if waits_s > 0 else ready[at]))
            if could <= 0:
                break
            if could >= rest or count + 1 == most:
                last = self._cheapest_for(rest, within_s, waited_s, order, count)
                if last < 0 and could < rest:
                    return None
                return [*order[:count], last if last >= 0 else at]
            rest -= could
            waited_s += upload[at]
        return None

    def _cheapest_for(self, rest: float, within_s: float, waited_s: float, order: list[int], used: int) -> int:
        """The machine after the first `used` that does a rest in time for the least; -1 when none does."""
        best, least = -1, inf
        price, speed, ready = self.price, self.speed, self.ready
        for place in range(used, len(order)):
            at = order[place]
            runs = ready[at] + rest / speed[at]
            cost = price[at] * runs
            if cost < least and runs + max(0.0, waited_s - self.machines[at].start_s) <= within_s:
                best, least = at, cost
        return best

    def _of_few(self, order: list[int], work: float, within_s: float, most: int) -> list[int] | None:
        """The same where the cheapest are too many: at a price for a frame, the machines that earn the most.

        The price that just gets the work done is found by halving; a higher one takes faster, dearer machines.
        """
        could = {at: self.speed[at] * (within_s - self.ready[at]) for at in order}
        if sum(sorted(could.values())[-most:]) < work:
            return None
        few = self._not_beaten(order, could, most)
        best: list[int] | None = None
        # Waiting for the line makes less of each than it could alone: ask for more until it is enough.
        asked = work
        for _ in range(12):
            picked = self._at_a_price(few, could, asked, within_s, most)
            if picked is None:
                break
            choice = self.schedule(picked)
            done = sum(
                max(0.0, self.speed[at] * (within_s - ready)) for at, ready in zip(picked, choice.ready_s, strict=True)
            )
            if done >= work:
                best = picked
                break
            asked *= 1.001 + (work - done) / work
        return best

    def _not_beaten(self, order: list[int], could: dict[int, float], most: int) -> list[int]:
        """Those that fewer than `most` others beat both in money and in work: no other is in a best choice."""
        kept: list[int] = []
        largest: list[float] = []
        for at in sorted(order, key=lambda at: (self.price[at], -could[at])):
            if len(largest) < most:
                heappush(largest, could[at])
                kept.append(at)
            elif could[at] > largest[0]:
                heappushpop(largest, could[at])
                kept.append(at)
        return kept

    def _at_a_price(
        self, few: list[int], could: dict[int, float], work: float, within_s: float, most: int
    ) -> list[int] | None:
        def earning(worth: float) -> list[int]:
            loss = [(price - worth * frames, at) for price, frames, at in offers]
            loss.sort()
            return [at for lost, at in loss[:most] if lost < 0]

        def done(picked: list[int]) -> float:
            return sum(could[at] for at in picked)

        if sum(sorted(could[at] for at in few)[-most:]) < work:
            return None
        offers = [(self.price[at] * within_s, could[at], at) for at in few]
        # The price of the time that was tried before is near; the bracket grows until it holds the price.
        high = self._worth or 2 * min(price / frames for price, frames, _ in offers)
        while done(picked := earning(high)) < work:
            # Far above what any machine costs, only the work counts.
            if high > _FAR * max(price / frames for price, frames, _ in offers):
                return None
            high *= 2
        low = high / 2
        while done(tried := earning(low)) >= work:
            high, low, picked = low, low / 2, tried
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            tried = earning(middle)
            if done(tried) >= work:
                high, picked = middle, tried
            else:
                low = middle
        self._worth = high
        return sorted(picked, key=lambda at: self.price[at] / could[at])
