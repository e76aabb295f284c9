"""Making the plan of a batch: for the least money, by a deadline, for a budget. It spends nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from octa_provider.batch.choose import Fleet
from octa_provider.batch.estimate import (
    NEVER_UP,
    START_LIMIT_S,
    MachineEstimate,
    SceneEstimate,
    estimate_machines,
)
from octa_provider.batch.forecast import MOST_SIGMAS, Forecast, charge_wei, deviate
from octa_provider.batch.plan import NOTHING_TO_PLAN, Plan, PlanLine, PlannedMachine, Spread
from octa_provider.batch.rates import usd_per_wei, wei_of_usd
from octa_provider.errors import OctaConfigError, Refusal
from octa_provider.text.quantities import shown_duration, shown_usd
from octa_provider.timing.limits import checked_cap, checked_seconds

if TYPE_CHECKING:
    from octa_provider.market.ranking import Ranking

__all__ = ["CHEAPEST_WITHIN_S", "MAX_MACHINES", "plan_batch"]

#: The cheapest way of all may be one machine for a month: it is looked for among those that end within a week.
CHEAPEST_WITHIN_S = 7 * 86_400.0
MAX_MACHINES = 10_000
#: How near, as a share, the shortest time for a budget is found.
_NEAR = 0.02


def plan_batch(
    ranking: Ranking,
    scene: SceneEstimate,
    *,
    max_machines: int = 10,
    finish_within_s: float | None = None,
    max_cost_usd: float | None = None,
    confidence: float = 0.9,
    measured: Mapping[int, tuple[int, float]] | None = None,
    speed_by: str = "blender_score",
) -> Plan:
    """Plan a batch.

    Args:
        ranking: the machines that fit, and those that do not.
        scene: what is known of the work.
        max_machines: at most so many at once.
        finish_within_s: the deadline, in seconds from the start.
        max_cost_usd: at most this much, in USD.
        confidence: how sure the deadline and the budget are to hold, from 0.5 to 0.99.
        measured: for nodes that have rendered of it: how many frames, in how many seconds.
        speed_by: the field of a machine that tells how fast it renders.

    Raises:
        OctaConfigError: a number that makes no sense.
    """
    if isinstance(max_machines, bool) or not isinstance(max_machines, int) or not 1 <= max_machines <= MAX_MACHINES:
        raise OctaConfigError(f"max_machines must be a whole number from 1 to {MAX_MACHINES}, not {max_machines!r}")
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0.5 <= confidence <= 0.99:
        raise OctaConfigError(f"confidence must be a number from 0.5 to 0.99, not {confidence!r}")
    if finish_within_s is not None:
        finish_within_s = checked_seconds("finish_within_s", finish_within_s, least_s=1.0)
    budget_usd = checked_cap("max_cost_usd", max_cost_usd)
    estimates, refused = estimate_machines(ranking.machines, scene, measured=measured, speed_by=speed_by)
    planner = _Planner(Fleet(estimates), scene, min(max_machines, scene.frames), confidence)
    refusals = [*ranking.refusals, *refused]
    budget_wei = None
    if budget_usd is not None and estimates:
        budget_wei = wei_of_usd(budget_usd, estimates)

    cheapest = planner.line("cheapest", CHEAPEST_WITHIN_S, None)
    by_deadline = for_budget = None
    if cheapest is None:
        refusals.append(Refusal(None, planner.why_not(CHEAPEST_WITHIN_S)))
    if finish_within_s is not None:
        by_deadline = planner.line("by the deadline", finish_within_s, budget_wei)
        if by_deadline is None:
            refusals.append(Refusal(None, planner.why_not(finish_within_s)))
        elif budget_wei is not None and by_deadline.cost_p90_wei > budget_wei:
            refusals.append(
                Refusal(
                    None,
                    f"by the deadline it costs {shown_usd(by_deadline.cost_usd.p90)} USD, above {budget_usd:g} USD",
                )
            )
            by_deadline = None
    if budget_wei is not None:
        for_budget = planner.fastest(budget_wei)
        if for_budget is None and cheapest is not None:
            refusals.append(
                Refusal(None, f"the cheapest costs {shown_usd(cheapest.cost_usd.p90)} USD, above {budget_usd:g} USD")
            )
    if finish_within_s is not None:
        chosen = by_deadline
    else:
        chosen = for_budget if budget_usd is not None else cheapest
    return Plan(
        frames=scene.frames,
        cheapest=cheapest,
        by_deadline=by_deadline,
        for_budget=for_budget,
        chosen=chosen,
        next_machines=planner.rest_of(chosen),
        refusals=tuple(refusals),
    )


class _Planner:
    """Makes lines of one fleet for one scene."""

    def __init__(self, fleet: Fleet, scene: SceneEstimate, most: int, confidence: float) -> None:
        self._all = fleet
        self._fleet = fleet.for_at_most(most)
        self._scene = scene
        self._most = most
        self._sigmas = deviate(confidence)

    def line(self, name: str, within_s: float, budget_wei: int | None) -> PlanLine | None:
        """The cheapest machines that end in time, at the confidence asked for; None when none do."""
        found = self._forecast(within_s)
        return None if found is None else self._shown(name, found, within_s, budget_wei)

    def fastest(self, budget_wei: int) -> PlanLine | None:
        """The earliest end that a budget pays for, by bisection over the time; None when it pays for none."""
        cheapest = self._forecast(CHEAPEST_WITHIN_S)
        if cheapest is None or self._p90_wei(cheapest, CHEAPEST_WITHIN_S) > budget_wei:
            return None
        sigma = cheapest.sigma_by(CHEAPEST_WITHIN_S)
        high = min(CHEAPEST_WITHIN_S, cheapest.finish_s(self._sigmas, sigma))
        low = min(high, self._soonest_s())
        while high > low * (1 + _NEAR):
            middle = math.sqrt(low * high)
            if self._is_paid_by(budget_wei, middle, sigma):
                high = middle
            else:
                low = middle
        # The exact cost, with the machines' own uncertainty, is a little more.
        while high < CHEAPEST_WITHIN_S:
            found = self._forecast(high)
            if found is not None and self._p90_wei(found, high) <= budget_wei:
                return self._shown("fastest for the budget", found, high, budget_wei)
            high *= 1 + 2 * _NEAR
        return self._shown("fastest for the budget", cheapest, CHEAPEST_WITHIN_S, budget_wei)

    def _soonest_s(self) -> float:
        return min((ready + 0.5 / s for ready, s in zip(self._fleet.ready, self._fleet.speed, strict=True)), default=0)

    def _is_paid_by(self, budget_wei: int, within_s: float, sigma: float) -> bool:
        """Whether the budget pays for machines that end by then, roughly."""
        if self._scene.download_s >= within_s:
            return False
        work = self._scene.frames * math.exp(self._sigmas * sigma)
        return self._fleet.is_paid_by(budget_wei, work, within_s, self._most)

    def why_not(self, within_s: float) -> str:
        """Why no choice ends in time, as one clause."""
        fleet, scene = self._fleet, self._scene
        if not fleet.machines:
            return NOTHING_TO_PLAN
        if scene.download_s >= within_s:
            needs = shown_duration(scene.download_s)
            return f"our line needs {needs} to fetch the frames, more than {shown_duration(within_s)}"
        if self._soonest_s() > within_s:
            return f"the first frame takes {shown_duration(self._soonest_s())}, more than {shown_duration(within_s)}"
        return f"{self._most} machines at most do not finish within {shown_duration(within_s)}"

    def rest_of(self, line: PlanLine | None) -> tuple[MachineEstimate, ...]:
        """The machines that a line leaves, cheapest frame first."""
        if line is None:
            return ()
        taken = {machine.estimate.node_id for machine in line.machines}
        machines = self._all.machines
        order = self._all.in_order(line.finish_s.p90)
        return tuple(machines[at] for at in order if machines[at].node_id not in taken)

    def _forecast(self, within_s: float) -> Forecast | None:
        scene = self._scene
        if scene.download_s >= within_s:
            return None
        forecast = None
        asked = scene.sigma
        # Each choice tells how uncertain its own machines are, which asks for a little more.
        for _ in range(4):
            choice = self._fleet.choose(scene.frames * math.exp(self._sigmas * asked), within_s, self._most)
            if choice is None:
                return None
            forecast = Forecast(self._fleet, choice, scene.frames, scene.sigma, scene.download_s)
            sigma = forecast.sigma_by(within_s)
            if sigma <= asked:
                break
            asked = sigma * 1.01
        return forecast

    def _p90_wei(self, forecast: Forecast, within_s: float) -> int:
        sigma = forecast.sigma_by(within_s)
        return forecast.cost_wei(forecast.finish_s(max(self._sigmas, deviate(0.9)), sigma))

    def _failed_starts_wei(self, forecast: Forecast) -> int:
        """What machines cost, at most, that never come up: at least one of them."""
        prices = [self._fleet.machines[at].price_wei for at in forecast.choice.picked]
        expected = NEVER_UP * len(prices)
        failed = max(1, math.ceil(expected + MOST_SIGMAS * math.sqrt(expected * (1 - NEVER_UP))))
        return charge_wei(failed * sum(prices) // len(prices), START_LIMIT_S)

    def _shown(self, name: str, forecast: Forecast, within_s: float, budget_wei: int | None) -> PlanLine:
        sigma = forecast.sigma_by(within_s)
        p50_s, p90_s = forecast.finish_s(0, sigma), forecast.finish_s(deviate(0.9), sigma)
        p50, p90, most = forecast.cost_wei(p50_s), self._p90_wei(forecast, within_s), forecast.most_wei(sigma)
        most = max(most, p90) + self._failed_starts_wei(forecast)
        most = most if budget_wei is None else min(most, budget_wei)
        startup, transfer = forecast.cost_shares(p50_s)
        each = forecast.frames_each(self._scene.frames, p50_s)
        machines = self._fleet.machines
        # The others' rate where those that are picked tell their price in wei alone: both are of the same day.
        rate = usd_per_wei([machines[at] for at in forecast.choice.picked]) or usd_per_wei(machines)
        return PlanLine(
            name=name,
            machines=tuple(
                PlannedMachine(machines[at], frames, rent)
                for at, frames, rent in zip(forecast.choice.picked, each, forecast.choice.rent_s, strict=True)
            ),
            cost_p50_wei=p50,
            cost_p90_wei=p90,
            cost_most_wei=most,
            cost_usd=Spread(p50 * rate, p90 * rate),
            cost_most_usd=most * rate,
            finish_s=Spread(p50_s, p90_s),
            startup_share=startup,
            transfer_share=transfer,
        )
