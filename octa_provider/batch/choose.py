"""Which machines do a given work by a given time for the least money: a fixed-charge greedy, n log n."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from math import inf
from operator import attrgetter

from octa_provider.batch.estimate import MachineEstimate

__all__ = ["Choice", "Fleet"]

#: Halvings of the interval that a price per frame is looked for in, when there may be few machines.
_HALVINGS = 8
#: So many times the dearest frame, a price for a frame is beyond all machines.
_FAR = 1e6
#: So many times more work is asked for when machines wait for the line.
_ASKS = 12


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
        self._least_upload_s = min(self.upload, default=0.0)
        self._fastest = max(self.speed, default=0.0)
        self._sends = any(self.upload)
        #: Sorted before, it is nearly sorted for the next time that is tried, which takes a linear sort.
        self._order = list(range(len(machines)))
        self._by_loss = list(range(len(machines)))
        self._worth: float | None = None

    def for_at_most(self, most: int) -> Fleet:
        """Only those that can be among the best `most` of any choice: no `most` others are both cheaper and faster."""
        machines = self.machines
        if most >= len(machines):
            return self
        soonest = min(machine.start_s + machine.upload_s for machine in machines)
        kept: list[MachineEstimate] = []
        fastest: list[float] = []
        for machine in sorted(machines, key=attrgetter("price_wei", "node_id")):
            if len(fastest) == most and machine.speed <= fastest[0]:
                continue
            kept.append(machine)
            # One that takes longer to get the scene does not beat others by its speed alone.
            if machine.start_s + machine.upload_s <= soonest:
                (heappush if len(fastest) < most else heappushpop)(fastest, machine.speed)
        return Fleet(kept)

    def in_order(self, within_s: float) -> list[int]:
        """The places of the machines that finish a frame in time, the cheapest frame first: the money until then over
        the frames until then."""
        keys = self._sorted(within_s)
        return self._order[: bisect_left(self._order, inf, key=keys.__getitem__)]

    def choose(self, work: float, within_s: float, most: int) -> Choice | None:
        """The machines for a work.

        Args:
            work: in frames.
            within_s: seconds from the start of the batch.
            most: at most so many machines.

        Returns:
            None when no machines do it in time.
        """
        picked = self._picked(work, within_s, most, 0.0)
        return None if picked is None else self.schedule(picked)

    def is_paid_by(self, budget_wei: float, work: float, within_s: float, most: int) -> bool:
        """Whether some machines that do the work in time cost no more, if all of them run until then. Quicker than
        `choose`: it need not know which cost the least.

        Args:
            budget_wei: wei.
            work: in frames.
            within_s: seconds from the start of the batch.
            most: at most so many machines.
        """
        picked = self._picked(work, within_s, most, budget_wei)
        if picked is None:
            return False
        rents = self.schedule(picked).rent_s if self._sends else (0.0,) * len(picked)
        return sum([self.price[at] * (within_s - rent) for at, rent in zip(picked, rents, strict=True)]) <= budget_wei

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

    def _sorted(self, within_s: float) -> list[float]:
        """Sort the machines; returns for each place what a frame costs, infinite where none is done in time."""
        keys = [
            price / (speed * runs) if (runs := within_s - ready) * speed >= 0.5 else inf
            for price, speed, ready in zip(self.price, self.speed, self.ready, strict=True)
        ]
        self._order.sort(key=keys.__getitem__)
        return keys

    def _picked(self, work: float, within_s: float, most: int, enough_wei: float) -> list[int] | None:
        keys = self._sorted(within_s)
        picked = self._greedy(keys, work, within_s, most)
        return self._of_few(keys, work, within_s, most, enough_wei) if picked is None else picked

    def _greedy(self, keys: list[float], work: float, within_s: float, most: int) -> list[int] | None:
        order, speed, ready, upload, machines = self._order, self.speed, self.ready, self.upload, self.machines
        rest = work
        waited_s = 0.0
        for count, at in enumerate(order):
            # Its turn on the line comes when it is up, or later.
            waits_s = waited_s - machines[at].start_s if self._sends else 0.0
            could = speed[at] * (within_s - (ready[at] + waits_s if waits_s > 0 else ready[at]))
            if could <= 0 or keys[at] == inf:
                break
            if could >= rest or count + 1 == most:
                last = self._cheapest_for(rest, within_s, waited_s, keys, count)
                if last < 0 and could < rest:
                    return None
                return [*order[:count], last if last >= 0 else at]
            rest -= could
            waited_s += upload[at]
        return None

    def _cheapest_for(self, rest: float, within_s: float, waited_s: float, keys: list[float], used: int) -> int:
        """The machine after the first `used` that does a rest in time for the least; -1 when none does."""
        best, least = -1, inf
        if rest > self._fastest * within_s:
            return best
        order, price, speed, ready = self._order, self.price, self.speed, self.ready
        for place in range(used, len(order)):
            at = order[place]
            # One that just does the rest in time costs as much as its key says; a faster one costs more than that.
            if keys[at] * rest * within_s >= least:
                break
            runs = ready[at] + rest / speed[at]
            cost = price[at] * runs
            if cost < least and runs + max(0.0, waited_s - self.machines[at].start_s) <= within_s:
                best, least = at, cost
        return best

    def _of_few(
        self, keys: list[float], work: float, within_s: float, most: int, enough_wei: float
    ) -> list[int] | None:
        """The same where the cheapest are too many: at a price for a frame, the machines that earn the most.

        The price that just gets the work done is found by halving; a higher one takes faster, dearer machines.
        """
        usable = bisect_left(self._order, inf, key=keys.__getitem__)
        if not usable:
            return None
        if self._sends:
            # The line sends to no more of them in time.
            soonest = min([self.ready[at] for at in self._order[:usable]])
            most = min(most, int((within_s - soonest) / max(1e-9, self._least_upload_s)) + 2)
        elif usable <= most:
            return None
        could = [
            speed * (within_s - ready) if key < inf else 0.0
            for speed, ready, key in zip(self.speed, self.ready, keys, strict=True)
        ]
        most_work = sum(sorted(could)[-most:]) if most > 0 else 0.0
        # Waiting for the line makes less of each than it could alone: ask for more until it is enough.
        asked = work
        for _ in range(_ASKS):
            picked = None
            if asked <= most_work:
                picked = self._at_a_price(keys, could, (work, asked), within_s, most, enough_wei)
            if picked is None or not self._sends:
                return picked
            done = sum(
                [
                    self.speed[at] * max(0.0, within_s - ready)
                    for at, ready in zip(picked, self.schedule(picked).ready_s, strict=True)
                ]
            )
            if done >= work:
                return picked
            asked *= 1.001 + (work - done) / work
        return None

    def _at_a_price(
        self,
        keys: list[float],
        could: list[float],
        works: tuple[float, float],
        within_s: float,
        most: int,
        enough_wei: float,
    ) -> list[int] | None:
        """Machines that do the asked work, the second of `works`, for the least.

        With `enough_wei` the first that cost no more are returned, and None as soon as the first of `works` is known
        to cost more: at any price for a frame, no choice costs less than the work at that price without what is earned.
        """
        work, asked = works
        cost = [price * within_s for price in self.price]
        by_loss = self._by_loss

        def earning(worth: float) -> tuple[list[int], float, bool]:
            loss = [money - worth * frames for money, frames in zip(cost, could, strict=True)]
            by_loss.sort(key=loss.__getitem__)
            picked = by_loss[: bisect_left(by_loss, 0.0, hi=min(most, len(by_loss)), key=loss.__getitem__)]
            done = sum([could[at] for at in picked])
            lost = sum([loss[at] for at in picked])
            if enough_wei and worth * work + lost > enough_wei:
                return [], 0.0, True
            is_enough = done >= asked and lost + worth * done <= enough_wei
            # Where they wait for the line, those that are not the best do less than they could by themselves.
            return picked, done, is_enough and not self._sends

        # The price of the time that was tried before is near; the bracket grows until it holds the price.
        high = self._worth or 2 * within_s * keys[self._order[0]]
        dearest = within_s * max(key for key in keys if key < inf)
        picked, done, is_settled = earning(high)
        while done < asked and not is_settled:
            # Far above what any machine costs, only the work counts.
            if high > _FAR * dearest:
                return None
            high *= 2
            picked, done, is_settled = earning(high)
        low = 0.0
        for _ in range(_HALVINGS):
            if is_settled:
                break
            self._worth = high
            middle = (low + high) / 2
            tried, done, is_settled = earning(middle)
            if done >= asked or is_settled:
                high, picked = middle, tried
            else:
                low = middle
        return sorted(picked, key=keys.__getitem__) or None
