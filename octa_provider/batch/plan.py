"""The plan of a batch as a value: three lines to choose from, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.errors import Refusal

__all__ = ["NOTHING_TO_PLAN", "Plan", "PlanLine", "PlannedMachine", "Spread"]

#: Why no line can be met where nothing that fits is on offer.
NOTHING_TO_PLAN = "no machine can be planned with"


@dataclass(frozen=True)
class Spread:
    """A number that is not certain.

    Attributes:
        p50: as likely more as less.
        p90: nine times in ten no more.
    """

    p50: float
    p90: float


@dataclass(frozen=True)
class PlannedMachine:
    """A machine of a plan.

    Attributes:
        estimate: what is expected of it.
        frames: how many frames it is expected to render.
        rent_s: when it is rented, in seconds from the start: later than 0 where it would only wait for the scene.
    """

    estimate: MachineEstimate
    frames: int
    rent_s: float


@dataclass(frozen=True)
class PlanLine:
    """One way to render the batch.

    Attributes:
        name: `cheapest`, `by the deadline` or `fastest for the budget`.
        machines: those to rent, in that order.
        cost_p50_wei, cost_p90_wei: wei, exact.
        cost_most_wei: wei; the batch is stopped before it costs more.
        cost_usd: the same first two in USD, for display.
        cost_most_usd: and the third.
        finish_s: seconds from the start.
        startup_share: the share of the money that goes into starting machines.
        transfer_share: the share that goes into sending them the scene.
    """

    name: str
    machines: tuple[PlannedMachine, ...]
    cost_p50_wei: int
    cost_p90_wei: int
    cost_most_wei: int
    cost_usd: Spread
    cost_most_usd: float
    finish_s: Spread
    startup_share: float
    transfer_share: float


@dataclass(frozen=True)
class Plan:
    """What a batch would cost.

    Attributes:
        frames: how many are to be rendered.
        cheapest: for the least money, whatever it takes up to a week.
        by_deadline: for the least money that meets the deadline at the confidence asked for.
        for_budget: the earliest end that the budget pays for.
        chosen: the one that a run takes: by the deadline if one was given, else for the budget, else the cheapest;
            None when that can't be met.
        next_machines: the machines that are rented when others fail or are slow, best first.
        refusals: machines that can't be planned with, and lines that can't be met (`node_id` None), with reasons.
    """

    frames: int
    cheapest: PlanLine | None
    by_deadline: PlanLine | None
    for_budget: PlanLine | None
    chosen: PlanLine | None
    next_machines: tuple[MachineEstimate, ...]
    refusals: tuple[Refusal, ...]
