"""How long a plan takes: all its lines together, for a large market and a long film.

python benchmarks/batch_planning.py                                       10,000 machines and 1,000,000 frames of 5 s

Each row is the least CPU time of a few tries, so that other work on the machine counts little. A budget is told as
how many times the cheapest line it is.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time

from batch_distributions import world
from batch_simulation import catalogue, measure

from octa_provider.batch.estimate import SceneEstimate
from octa_provider.batch.plan import Plan, PlanLine
from octa_provider.batch.planner import plan_batch
from octa_provider.market.ranking import Ranking

MOST = (10, 100, 1000, 10_000)
BUDGETS = (None, 1.3, 5.0)


def main() -> None:
    """Plan, and print how long it took."""
    parser = argparse.ArgumentParser(description="How long a plan takes.")
    parser.add_argument("--machines", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--frame-s", type=float, default=5.0)
    parser.add_argument("--deadline-h", type=float, default=10.0)
    parser.add_argument("--tries", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.machines} machines, {options.frames} frames of {options.frame_s:g} s\n")
    print("max_machines  scene sent  budget      CPU  cheapest          by the deadline   for the budget")
    slowest = 0.0
    for transfer in (False, True):
        film = world(1, options.machines, options.frames, options.frame_s, transfer=transfer)
        scene, ranking = measure(film)[0], catalogue(film)
        for most, budget in itertools.product(MOST, BUDGETS):
            within_s = options.deadline_h * 3600
            cheapest = plan_batch(ranking, scene, max_machines=most).cheapest
            budget_usd = budget * cheapest.cost_usd.p90 if budget is not None and cheapest is not None else None

            took_s, plan = timed(ranking, scene, options.tries, most, within_s, budget_usd)
            slowest = max(slowest, took_s)
            lines = (plan.cheapest, plan.by_deadline, plan.for_budget)
            print(
                f"{most:12}  {'yes' if transfer else 'no':10}  {f'x {budget:g}' if budget else 'none':6}"
                f" {took_s * 1000:5.0f} ms  {'  '.join(f'{_shown(line):16}' for line in lines)}"
            )
    print(f"\nslowest: {slowest * 1000:.0f} ms")


def timed(
    ranking: Ranking, scene: SceneEstimate, tries: int, most: int, within_s: float, budget_usd: float | None
) -> tuple[float, Plan]:
    """The least CPU time of some tries, in seconds, and the plan."""
    least = math.inf
    for _ in range(tries):
        begun = time.process_time()
        plan = plan_batch(ranking, scene, max_machines=most, finish_within_s=within_s, max_cost_usd=budget_usd)
        least = min(least, time.process_time() - begun)
    return least, plan


def _shown(line: PlanLine | None) -> str:
    return f"{len(line.machines)} for {line.finish_s.p90 / 3600:.1f} h" if line is not None else "-"


if __name__ == "__main__":
    main()
