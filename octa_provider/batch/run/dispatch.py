"""Orders to machines: which machine has which slot, what it was ordered last, and whose answer is waited for."""

from __future__ import annotations

from octa_provider.batch.actions import Leave, Steal
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.places import Places
from octa_provider.batch.run.told import Begin, Drop, Pause, Skip

__all__ = ["Dispatch"]


class Dispatch:
    """Gives machines their orders. The scheduler knows them by slots, the crew by numbers.

    Args:
        crew: the machines.
        places: the order of the frames.
    """

    def __init__(self, crew: Crew, places: Places) -> None:
        self._crew = crew
        self._places = places
        self._number: dict[int, int] = {}
        self._slot: dict[int, int] = {}
        self._orders = 0
        #: By slot, the number of its last `Begin`.
        self._last: dict[int, int] = {}
        #: By the number of a `Skip`, what it is for.
        self._skips: dict[int, Steal | Leave] = {}

    def seat(self, slot: int, number: int) -> None:
        """A machine has a slot from now on."""
        self._number[slot], self._slot[number] = number, slot

    def slot(self, number: int) -> int:
        """The slot of a machine; -1 for one that has none."""
        return self._slot.get(number, -1)

    def begin(self, slot: int, places: FrameSet, processes: int) -> None:
        """Have a machine render frames.

        Args:
            slot: whose.
            places: of the frames.
            processes: how many processes share them, at most.
        """
        self._orders += 1
        self._last[slot] = self._orders
        frames = self._places.numbers(places)
        self._crew.thread(self._number[slot]).order(Begin(frames, min(processes, len(frames)), self._orders))

    def goes_on(self, slot: int) -> int:
        """A machine is at what an earlier coordinator ordered; returns the number that this order has now."""
        self._orders += 1
        self._last[slot] = self._orders
        return self._orders

    def is_last_order(self, slot: int, number: int) -> bool:
        """Whether it is a machine's last order to render that has a number: earlier ones were followed by another."""
        return self._last.get(slot) == number

    def drop(self, slot: int, frame: int) -> None:
        """Have a machine go on without a frame that another one has rendered."""
        if slot in self._number:
            self._crew.thread(self._number[slot]).order(Drop(frame))

    def skip(self, action: Steal | Leave) -> None:
        """Have a machine not begin frames any more; its answer is waited for."""
        self._orders += 1
        self._skips[self._orders] = action
        frames = self._places.numbers(action.frames)
        self._crew.thread(self._number[action.slot]).order(Skip(frames, self._orders))

    def answered(self, number: int) -> Steal | Leave | None:
        """A machine has answered; returns what that was for, None when it does not matter any more."""
        return self._skips.pop(number, None)

    @property
    def orders(self) -> int:
        """How many orders there were: as long as it stays, every machine is at what it was at."""
        return self._orders

    @property
    def waits(self) -> bool:
        """Whether an answer of any machine is waited for."""
        return bool(self._skips)

    def pause(self, slot: int, number: int) -> None:
        """Have a machine say what it could be left to itself with."""
        self._crew.thread(self._number[slot]).order(Pause(number))

    def is_waited_for(self, *slots: int) -> bool:
        """Whether an answer is waited for that has to do with one of these."""
        waited = {action.slot for action in self._skips.values()}
        waited |= {action.thief for action in self._skips.values() if isinstance(action, Steal)}
        return not waited.isdisjoint(slots)

    def release(self, slot: int, reason: str) -> None:
        """Have a machine's session stopped; answers that have to do with it do not matter any more."""
        self._crew.thread(self._number[slot]).stop(reason)
        self._skips = {
            number: action
            for number, action in self._skips.items()
            if action.slot != slot and not (isinstance(action, Steal) and action.thief == slot)
        }
