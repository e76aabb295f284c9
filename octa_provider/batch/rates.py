"""Between wei and USD, at the rates that machines name their prices at."""

from __future__ import annotations

from collections.abc import Iterable

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.errors import OctaConfigError

__all__ = ["usd_per_wei", "wei_of_usd"]


def usd_per_wei(machines: Iterable[MachineEstimate]) -> float:
    """The rate at which machines name both prices; 0 where none does.

    Args:
        machines: any number of them.
    """
    known = [machine for machine in machines if machine.price_usd > 0]
    wei = sum(machine.price_wei for machine in known)
    return sum(machine.price_usd for machine in known) / wei if wei else 0.0


def wei_of_usd(usd: float, machines: Iterable[MachineEstimate]) -> int:
    """A budget in wei, by the rate that costs the most: it must hold for every machine.

    Args:
        usd: the budget.
        machines: those that it is spent on.

    Raises:
        OctaConfigError: none of them tells its price in USD.
    """
    rates = [machine.price_wei / machine.price_usd for machine in machines if machine.price_usd > 0]
    if not rates:
        raise OctaConfigError("max_cost_usd can't be planned with: no machine tells its price in USD")
    return int(usd * min(rates))
