"""In which order machines are asked: best first, ties spread, and those that are likely to refuse last."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octa_provider.market.node_memory import NodeMemory
    from octa_provider.models import Machine, VpnMachine

__all__ = ["MachineOrder"]


class MachineOrder:
    """The machines that are left to ask.

    Many that start at once see one catalogue. Machines that are equal in what they are chosen by come in another order
    for each key. And who has just waited in vain for a node that does not say whether it started something goes on with
    any of the next 2, 4, 8 ... best, since everybody else is about to ask the very next one.

    Args:
        machines: those that fit, best first.
        key: whose order it is.
        nodes: what is known of the nodes.
    """

    def __init__(self, machines: Sequence[Machine | VpnMachine], key: str, nodes: NodeMemory) -> None:
        self._chance = random.Random(key)
        self._nodes = nodes
        self._left = self._spread(machines)
        self._waits = 0

    def __len__(self) -> int:
        """How many are left."""
        return len(self._left)

    def next(self, now: float) -> Machine | VpnMachine:
        """The machine to ask now; it is not asked again.

        Args:
            now: the time of the clock that `NodeMemory` was told.
        """
        best = min(self._nodes.standing(machine, now) for machine in self._left)
        free = [machine for machine in self._left if self._nodes.standing(machine, now) is best]
        machine = self._chance.choice(free[: 2**self._waits]) if self._waits else free[0]
        self._left.remove(machine)
        return machine

    def waited_in_vain(self) -> None:
        """A machine has cost the settle time and started nothing."""
        self._waits = min(self._waits + 1, 10)

    def _spread(self, machines: Sequence[Machine | VpnMachine]) -> list[Machine | VpnMachine]:
        spread: list[Machine | VpnMachine] = []
        alike: list[Machine | VpnMachine] = []
        for machine in machines:
            if alike and _worth(machine) != _worth(alike[0]):
                self._chance.shuffle(alike)
                spread += alike
                alike = []
            alike.append(machine)
        self._chance.shuffle(alike)
        return spread + alike


def _worth(machine: Machine | VpnMachine) -> tuple[object, ...]:
    """What a machine is chosen by, in any order that there is."""
    names = ("price_usd", "traffic_price_usd", "blender_score")
    return tuple(getattr(machine, name, None) for name in names)
