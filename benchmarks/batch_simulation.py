"""What a batch costs and when it ends: our planner and scheduler themselves, on simulated machines.

python benchmarks/batch_simulation.py                                     1,000 machines, 10,000 frames of 60 s, 2 h
python benchmarks/batch_simulation.py --machines 100 --frames 240         a hobby film
python benchmarks/batch_simulation.py --machines 10000 --frames 1000000 --frame-s 5 --seeds 1
python benchmarks/batch_simulation.py --transfer                          with a scene that has to be sent

The clock is virtual; what is decided comes from `octa_provider.batch`. Before the plan, the first, last and middle
frame are rendered on one machine, as `plan --measure` does: that costs money, which is counted, and no time, since the
deadline counts from the plan. The others split the film into equal chunks, on as many machines as the same estimate
says are enough; they measure for nothing. Bounds: the *oracle* pays no start, divides perfectly and knows each
machine's true speed; the *fair* one knows scores only, and pays each start once. Both know the film's true length.
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import time

from batch_distributions import (
    DESCRIPTION,
    REFERENCE_SCORE,
    World,
    world,
)
from batch_rivals import Outcome, bound, equal_chunks
from batch_virtual_run import POLL_S, Simulation

from octa_provider.batch.estimate import SceneEstimate
from octa_provider.batch.forecast import deviate
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.plan import Plan, PlanLine
from octa_provider.batch.planner import plan_batch
from octa_provider.batch.state import BatchState
from octa_provider.batch.terms import BatchTerms
from octa_provider.market.ranking import Ranking, rank
from octa_provider.market.requirements import Requirements
from octa_provider.models import Machine


def catalogue(film: World) -> Ranking:
    """The machines as the API shows them, ranked."""
    machines = [
        Machine(node_id=true.node_id, blender_score=true.score, price_usd=true.usd_h, price_wei=true.price_wei)
        for true in film.machines
    ]
    return rank(machines, Requirements())


def measure(film: World) -> tuple[SceneEstimate, FrameSet, float]:
    """Render the first, last and middle frame on the machine with the best score per USD that works."""
    usable = [m for m in film.machines if not m.is_gone and not m.is_black and m.up_s < math.inf and m.disk_frames > 5]
    first = max(usable, key=lambda m: m.score / m.usd_h)
    places = sorted({0, len(film.work) // 2, len(film.work) - 1})
    seconds = [film.work[place] / first.speed for place in places]
    spent_s = first.up_s + film.upload_s() + film.load_s + film.first_frame_s + sum(seconds)
    estimate = SceneEstimate.measured(
        len(film.work) - len(places),
        seconds,
        score=first.score,
        load_s=film.load_s,
        first_frame_s=film.first_frame_s,
        scene_bytes=film.scene_bytes,
        **({"uplink_mbps": film.uplink_mbps} if film.uplink_mbps is not None else {}),
    )
    return estimate, FrameSet([(place, place + 1) for place in places]), first.usd_h * spent_s / 3600


def ours(
    film: World, plan: Plan, estimate: SceneEstimate, done: FrameSet, deadline_s: float, confidence: float
) -> tuple[Outcome, Simulation]:
    """The batch as our scheduler runs it."""
    assert plan.chosen is not None
    candidates = [*(machine.estimate for machine in plan.chosen.machines), *plan.next_machines]
    terms = BatchTerms(
        frames=len(film.work),
        max_machines=len(film.machines),
        began_at=0.0,
        finish_at=deadline_s,
        sigmas=deviate(confidence),
        work_sigma=estimate.sigma,
        load_s=estimate.load_s,
        first_frame_s=estimate.first_frame_s,
        upload_s=estimate.upload_s,
    )
    simulation = Simulation(film, BatchState(terms, candidates, done))
    return simulation.run(20 * deadline_s), simulation


def main() -> None:
    """Simulate, and print each figure as the median and the worst of the seeds."""
    parser = argparse.ArgumentParser(description="What a batch costs and when it ends, simulated.")
    parser.add_argument("--machines", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--frame-s", type=float, default=60.0)
    parser.add_argument("--deadline-h", type=float, default=2.0)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--confidence", type=float, default=0.9)
    parser.add_argument("--transfer", action="store_true")
    parser.add_argument("--only-ours", action="store_true", help="leave out the equal chunks")
    options = parser.parse_args()
    deadline_s = options.deadline_h * 3600
    print(DESCRIPTION)
    print(
        f"\n{options.machines} machines, {options.frames} frames of {options.frame_s:g} s,"
        f" deadline {options.deadline_h:g} h, confidence {options.confidence:g}, {options.seeds} seeds,"
        f" decisions every {POLL_S:g} s\n"
    )
    rows: dict[str, list[tuple[float, float, float, bool]]] = {}
    plan_s: list[float] = []
    refused = 0
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        film = world(seed, options.machines, options.frames, options.frame_s, transfer=options.transfer)
        estimate, done, measured_usd = measure(film)
        ranking = catalogue(film)
        begun = time.process_time()
        plan = plan_batch(
            ranking,
            estimate,
            max_machines=options.machines,
            finish_within_s=deadline_s,
            confidence=options.confidence,
        )
        plan_s.append(time.process_time() - begun)
        fair, oracle = bound(film, deadline_s, oracle=False), bound(film, deadline_s, oracle=True)
        true_s = statistics.fmean(film.work)
        told = estimate.seconds_per_frame * (estimate.score or REFERENCE_SCORE) / REFERENCE_SCORE
        if plan.chosen is None:
            refused += 1
            print(f"seed {seed}: refused: {plan.refusals[-1].reason} (fair bound {fair:.2f} USD)")
            continue
        outcome, simulation = ours(film, plan, estimate, done, deadline_s, options.confidence)
        results = {"ours": Outcome(outcome.usd + measured_usd, outcome.finish_s, outcome.whole, outcome.rented)}
        if not options.only_ours:
            results["equal chunks, cheapest"] = equal_chunks(film, estimate, deadline_s, lambda m: m.usd_h)
            results["equal chunks, score per USD"] = equal_chunks(
                film, estimate, deadline_s, lambda m: -m.score / m.usd_h
            )
        print(
            f"seed {seed}: frame {true_s:.0f} s, measured {told:.0f} s; planned {_line(plan.chosen)};"
            f" rendered twice {simulation.rendered_twice}; deciding {simulation.decide_s:.1f} s"
        )
        for name, result in results.items():
            rows.setdefault(name, []).append(
                (result.usd / fair, result.usd / oracle, result.finish_s / deadline_s, result.whole)
            )
            print(
                f"    {name:28} {result.usd:9.2f} USD  {result.usd / fair:5.2f} x fair"
                f"  {result.usd / oracle:5.2f} x oracle  ends at {result.finish_s / deadline_s:6.2f} of the deadline"
                f"  {result.rented} machines{'' if result.whole else '  NOT WHOLE'}"
            )
    print("\nmedian (worst)                  USD / fair       USD / oracle     end / deadline    met    whole")
    for name, measured in rows.items():
        fairs, oracles, ends, wholes = zip(*measured, strict=True)
        print(
            f"{name:30} {_shown(fairs):16} {_shown(oracles):16} {_shown(ends):16}"
            f" {sum(end <= 1 for end in ends):2d}/{len(ends)}  {sum(wholes)}/{len(wholes)}"
        )
    print(f"refused by the planner: {refused} of {options.seeds}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"planning: {_shown(plan_s, digits=3)} s of CPU; peak memory {peak_mb:.0f} MB")


def _line(line: PlanLine) -> str:
    cost, finish = line.cost_usd, line.finish_s
    return (
        f"{len(line.machines)} machines, {cost.p50:.2f}-{cost.p90:.2f} USD,"
        f" {finish.p50 / 3600:.2f}-{finish.p90 / 3600:.2f} h"
    )


def _shown(values: list[float] | tuple[float, ...], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({max(values):.{digits}f})"


if __name__ == "__main__":
    main()
