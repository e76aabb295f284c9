"""What a batch is planned to cost, and what can't be planned."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from batch_world import WEI_PER_USD, machine, market, ranked
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider import OctaConfigError
from octa_provider.batch.choose import Fleet
from octa_provider.batch.estimate import SceneEstimate, estimate_machines, shrunk_speed
from octa_provider.batch.forecast import charge_wei
from octa_provider.batch.plan import PlanLine
from octa_provider.batch.planner import MAX_MACHINES, plan_batch

SCENE = SceneEstimate(240, 60.0, score=8000.0)


def lines(plan: Any) -> list[PlanLine]:
    return [line for line in (plan.cheapest, plan.by_deadline, plan.for_budget) if line is not None]


@settings(deadline=None, max_examples=60)
@given(
    machines=st.integers(1, 60),
    seed=st.integers(0, 1000),
    frames=st.integers(1, 3000),
    frame_s=st.floats(1, 2000),
    most=st.integers(1, 40),
    within_s=st.none() | st.floats(60, 100_000),
    budget=st.none() | st.floats(0.01, 500),
    sigma=st.floats(0, 0.8),
    uplink=st.none() | st.floats(10, 1000),
)
def test_a_plan_keeps_its_bounds(
    machines: int,
    seed: int,
    frames: int,
    frame_s: float,
    most: int,
    within_s: float | None,
    budget: float | None,
    sigma: float,
    uplink: float | None,
) -> None:
    scene = SceneEstimate(frames, frame_s, score=8000.0, sigma=sigma, scene_bytes=10**9, uplink_mbps=uplink)
    plan = plan_batch(
        ranked(market(machines, seed)), scene, max_machines=most, finish_within_s=within_s, max_cost_usd=budget
    )
    for line in lines(plan):
        nodes = [planned.estimate.node_id for planned in line.machines]
        assert 1 <= len(nodes) <= most
        assert len(set(nodes)) == len(nodes)
        assert sum(planned.frames for planned in line.machines) == frames
        assert all(planned.frames >= 0 and planned.rent_s >= 0 for planned in line.machines)
        assert isinstance(line.cost_p50_wei, int)
        assert 0 < line.cost_p50_wei <= line.cost_p90_wei <= line.cost_most_wei
        assert 0 < line.finish_s.p50 <= line.finish_s.p90
        assert 0 <= line.startup_share <= 1
        assert 0 <= line.transfer_share <= 1
    if plan.cheapest is not None and plan.by_deadline is not None and within_s is not None:
        assert plan.by_deadline.finish_s.p90 <= within_s * 1.001
    if budget is not None:
        for line in (plan.by_deadline, plan.for_budget):
            assert line is None or line.cost_most_wei <= budget * WEI_PER_USD * 1.000001
    if within_s is not None and plan.by_deadline is None:
        assert plan.chosen is None
        assert any(refusal.node_id is None for refusal in plan.refusals)


def test_a_higher_confidence_takes_more_machines_and_promises_an_earlier_middle() -> None:
    sure = plan_batch(ranked(market(300)), SceneEstimate(5000, 60.0), max_machines=300, finish_within_s=7200)
    even = plan_batch(
        ranked(market(300)), SceneEstimate(5000, 60.0), max_machines=300, finish_within_s=7200, confidence=0.5
    )
    assert sure.by_deadline is not None
    assert even.by_deadline is not None
    assert len(sure.by_deadline.machines) > len(even.by_deadline.machines)
    assert sure.by_deadline.finish_s.p50 < even.by_deadline.finish_s.p50


def test_few_machines_are_fast_ones() -> None:
    machines = [machine(node, 1000.0, 0.01) for node in range(1, 50)] + [
        machine(node, 9000.0, 0.5) for node in (60, 61)
    ]
    plan = plan_batch(ranked(machines), SCENE, max_machines=2, finish_within_s=4 * 3600)
    assert plan.by_deadline is not None
    assert {planned.estimate.node_id for planned in plan.by_deadline.machines} == {60, 61}
    assert {candidate.node_id for candidate in plan.next_machines} == set(range(1, 50))


def test_a_larger_budget_ends_no_later() -> None:
    ends = []
    for budget in (2.0, 4.0, 8.0):
        plan = plan_batch(ranked(market(200)), SCENE, max_machines=100, max_cost_usd=budget)
        assert plan.for_budget is not None
        assert plan.chosen is plan.for_budget
        ends.append(plan.for_budget.finish_s.p90)
    assert ends == sorted(ends, reverse=True)


def test_sending_a_large_scene_over_a_slow_line_is_in_the_plan() -> None:
    scene = SceneEstimate(240, 60.0, score=8000.0, scene_bytes=20 * 10**9, uplink_mbps=100)
    plan = plan_batch(ranked(market(50)), scene, max_machines=10, finish_within_s=3600)
    assert plan.by_deadline is None
    assert plan.chosen is None
    assert "do not finish within 1h" in plan.refusals[-1].reason
    longer = replace(scene, frames=1500)
    slow = plan_batch(ranked(market(50)), longer, max_machines=10, finish_within_s=10 * 3600)
    assert slow.by_deadline is not None
    assert slow.by_deadline.transfer_share > 0.05
    rents = [planned.rent_s for planned in slow.by_deadline.machines]
    assert rents == sorted(rents)
    assert rents[-1] > 0


def test_what_can_not_be_met_says_why() -> None:
    plan = plan_batch(ranked(market(20)), SCENE, finish_within_s=60)
    assert plan.by_deadline is None
    assert "the first frame takes" in plan.refusals[-1].reason
    fetched = SceneEstimate(240, 1.0, score=8000.0, frame_bytes=10**9, downlink_mbps=10)
    assert "to fetch the frames" in plan_batch(ranked(market(20)), fetched, finish_within_s=3600).refusals[-1].reason
    poor = plan_batch(ranked(market(20)), SCENE, max_cost_usd=0.001)
    assert "the cheapest costs" in poor.refusals[-1].reason
    both = plan_batch(ranked(market(20)), SCENE, finish_within_s=3600, max_cost_usd=0.05)
    assert both.chosen is None
    assert any("by the deadline it costs" in refusal.reason for refusal in both.refusals)
    none = plan_batch(ranked([]), SCENE)
    assert none.cheapest is None
    assert "no machine can be planned with" in none.refusals[-1].reason


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (machine(2, usd=0.0), "its price is no price"),
        (machine(2, usd=math.nan, price_wei=10**18), "its price is no price"),
        (machine(2, usd=math.inf, price_wei=10**18), "its price is no price"),
        (machine(2, price_wei=-1), "its price is no price"),
        (machine(2, usd=None), "its exact price is not known"),
        (machine(2, score=None), "its speed is not known"),
        (machine(2, score=math.nan), "its speed is not known"),
        (machine(2, score=0.0), "its speed is not known"),
    ],
)
def test_a_machine_without_price_or_speed_is_refused(odd: Any, reason: str) -> None:
    plan = plan_batch(ranked([machine(1), odd]), SCENE)
    assert plan.cheapest is not None
    assert [planned.estimate.node_id for planned in plan.cheapest.machines] == [1]
    assert [refusal.node_id for refusal in plan.refusals] == [2]
    assert reason in plan.refusals[0].reason


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_machines": 0},
        {"max_machines": True},
        {"max_machines": MAX_MACHINES + 1},
        {"max_machines": 2.5},
        {"confidence": 1.0},
        {"confidence": 0.1},
        {"confidence": math.nan},
        {"finish_within_s": 0},
        {"finish_within_s": math.nan},
        {"finish_within_s": math.inf},
        {"finish_within_s": -1},
        {"max_cost_usd": 0},
        {"max_cost_usd": math.nan},
        {"max_cost_usd": "5"},
        {"speed_by": "colour"},
    ],
)
def test_an_absurd_argument_is_one_clear_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError, match=next(iter(arguments))):
        plan_batch(ranked(market(3)), SCENE, **arguments)


@pytest.mark.parametrize(
    "fields",
    [
        {"frames": 0},
        {"frames": 1_000_001},
        {"frames": True},
        {"seconds_per_frame": 0},
        {"seconds_per_frame": math.nan},
        {"score": -1.0},
        {"sigma": math.inf},
        {"load_s": -1},
        {"first_frame_s": math.nan},
        {"scene_bytes": -1},
        {"frame_bytes": 10**20},
        {"uplink_mbps": 0},
        {"downlink_mbps": math.nan},
    ],
)
def test_an_absurd_scene_is_one_clear_error(fields: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError, match=next(iter(fields))):
        SceneEstimate(**{"frames": 10, "seconds_per_frame": 60.0, **fields})


def test_a_measured_scene_is_surer_with_more_frames() -> None:
    one = SceneEstimate.measured(100, [50.0], score=8000.0, load_s=10)
    three = SceneEstimate.measured(100, [40.0, 50.0, 60.0], score=8000.0, load_s=10)
    assert three.seconds_per_frame == one.seconds_per_frame == 50.0
    assert three.sigma < one.sigma
    with pytest.raises(OctaConfigError, match="seconds"):
        SceneEstimate.measured(100, [], score=8000.0, load_s=10)


def test_a_measured_speed_is_shrunk_to_the_score_by_two_frames() -> None:
    assert shrunk_speed(0.1, 0, 0.0) == pytest.approx(0.1)
    assert shrunk_speed(0.1, 2, 40.0) == pytest.approx(4 / 60)
    assert shrunk_speed(0.1, 1000, 20_000.0) == pytest.approx(0.05, rel=0.01)
    plain, _ = estimate_machines([machine(1)], SCENE)
    slow, _ = estimate_machines([machine(1)], SCENE, measured={1: (10, 1800.0)})
    assert slow[0].speed < plain[0].speed / 2


@given(st.integers(1, 10**22), st.floats(0, 10**7))
def test_a_charge_is_exact_and_never_too_little(price_wei: int, seconds: float) -> None:
    charge = charge_wei(price_wei, seconds)
    assert isinstance(charge, int)
    assert charge * 3_600_000 >= price_wei * int(seconds * 1000)
    assert charge <= price_wei * (seconds + 0.002) / 3600 * (1 + 1e-12) + 1
    assert charge_wei(3600, 1.0) == 1


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    machines=st.integers(1, 80),
    most=st.integers(1, 30),
    work=st.floats(1, 2000),
    within_s=st.floats(300, 20_000),
)
def test_machines_that_others_beat_are_in_no_choice(
    seed: int, machines: int, most: int, work: float, within_s: float
) -> None:
    found, _ = estimate_machines(market(machines, seed), SCENE)
    all_of_them, few = Fleet(found), Fleet(found).for_at_most(most)
    assert len(few.machines) <= machines
    before, after = all_of_them.choose(work, within_s, most), few.choose(work, within_s, most)
    assert (before is None) == (after is None)
    if before is None or after is None:
        return
    costs = [
        sum(fleet.machines[at].price_wei for at in choice.picked) * within_s / 3600
        for fleet, choice in ((all_of_them, before), (few, after))
    ]
    assert costs[1] <= costs[0] * 1.05
    assert few.is_paid_by(costs[1] * 1.05, work, within_s, most)
    never_less = work * min(price / speed for price, speed in zip(few.price, few.speed, strict=True))
    assert not few.is_paid_by(never_less * 0.99, work, within_s, most)


def test_a_machine_that_is_beaten_on_the_line_too_is_left_out_and_one_with_a_quicker_line_is_not() -> None:
    machines = [
        machine(1, 8000.0, 0.4, net_down_mbps=100.0),
        machine(2, 7000.0, 0.5, net_down_mbps=100.0),
        machine(3, 7000.0, 0.5, net_down_mbps=900.0),
    ]
    scene = SceneEstimate(240, 60.0, score=8000.0, scene_bytes=10**9, uplink_mbps=900)
    slow_line = [
        machine.node_id for machine in Fleet(estimate_machines(machines[:2], scene)[0]).for_at_most(1).machines
    ]
    assert slow_line == [1]
    both = Fleet(estimate_machines(machines, scene)[0])
    assert 3 in [machine.node_id for machine in both.for_at_most(1).machines]


class CountedFloat(float):
    """Counts how often it is compared."""

    compared = 0

    def __lt__(self, other: float) -> bool:
        CountedFloat.compared += 1
        return float.__lt__(self, other)

    def __truediv__(self, other: float) -> CountedFloat:
        return CountedFloat(float(self) / other)


def comparisons(count: int) -> int:
    found, _ = estimate_machines(market(count), SceneEstimate(count * 100, 60.0, score=8000.0))
    fleet = Fleet(found)
    fleet.price = [CountedFloat(price) for price in fleet.price]
    CountedFloat.compared = 0
    assert fleet.choose(count * 20.0, 7200, count) is not None
    return CountedFloat.compared


def test_choosing_grows_little_faster_than_the_machines() -> None:
    few = comparisons(1000)
    assert few > 1000
    assert comparisons(8000) < 14 * few
