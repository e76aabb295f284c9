"""Who renders which frames: what must hold whatever happens, and each decision on its own."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from batch_world import VirtualRun, estimates, places
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.batch.actions import Finish, Give, Leave, Race, Release, Rent, Steal
from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.order import in_order
from octa_provider.batch.outlook import Outlook
from octa_provider.batch.shares import next_actions, share_size
from octa_provider.batch.state import BatchState
from octa_provider.batch.terms import BatchTerms
from octa_provider.batch.worker import Worker


def terms(**changes: Any) -> BatchTerms:
    return BatchTerms(
        **{"frames": 100, "max_machines": 5, "began_at": 0.0, "finish_at": 3600.0, "load_s": 10.0, **changes}
    )


def one(node_id: int, speed: float = 1 / 60, price: int = 10**18) -> MachineEstimate:
    return MachineEstimate(node_id, price, 0.1, speed, 150.0)


def running(state: BatchState, machine: MachineEstimate, now: float = 0.0) -> Worker:
    worker = state.rented(machine, now)
    state.ready(worker.slot, now)
    return worker


def of(kind: type, actions: list[Any]) -> list[Any]:
    return [action for action in actions if isinstance(action, kind)]


def check_all(run: VirtualRun) -> None:
    """What must hold at each moment."""
    found = places(run.state)
    assert len(found) == run.state.terms.frames, "a frame is lost"
    assert max(found.values()) == 1, "a frame is in two places"
    assert len(run.state.workers) <= run.state.terms.max_machines
    for frame, (owner, racer) in run.state.racing.items():
        assert run.state.workers[racer].race == frame
        assert frame in run.state.workers[owner].share


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(1, 120),
    machines=st.integers(1, 25),
    most=st.integers(1, 12),
    dies=st.sampled_from([0.0, 0.002, 0.02]),
    bad=st.sampled_from([0.0, 0.02, 0.3]),
    tries=st.integers(1, 4),
    can_skip=st.booleans(),
    finish_at=st.sampled_from([600.0, 3600.0, 20_000.0]),
)
def test_whatever_fails_each_frame_is_in_one_place_and_tried_on_few_nodes(
    seed: int,
    frames: int,
    machines: int,
    most: int,
    dies: float,
    bad: float,
    tries: int,
    can_skip: bool,
    finish_at: float,
) -> None:
    run = VirtualRun(
        terms(frames=frames, max_machines=most, tries_per_frame=tries, can_skip=can_skip, finish_at=finish_at),
        estimates(machines, seed),
        random.Random(seed),
        dies=dies,
        bad=bad,
        gone=0.1,
        always_bad=frozenset({0} if seed % 3 == 0 else ()),
        check=check_all,
    ).run(6000)
    assert run.outcome is not None, "it goes on for ever"
    assert not run.state.workers, "a machine is left"
    assert run.most_at_once <= most
    assert all(count == 1 for count in run.accepted.values())
    for nodes in run.begun.values():
        assert len(nodes) <= tries
        assert len(set(nodes)) == len(nodes)
    if run.outcome == "whole":
        assert len(run.state.done) == frames


def test_without_faults_a_batch_is_whole_by_its_deadline() -> None:
    run = VirtualRun(
        terms(frames=400, max_machines=40, finish_at=3600.0), estimates(60), random.Random(1), check=check_all
    ).run(600)
    assert run.outcome == "whole"
    assert run.now <= 3600
    assert not run.state.failed


def test_a_frame_that_is_bad_everywhere_is_given_up_and_the_others_are_there() -> None:
    run = VirtualRun(
        terms(frames=60, max_machines=8), estimates(30), random.Random(2), always_bad=frozenset({7}), check=check_all
    ).run(2000)
    assert run.outcome == "incomplete"
    assert list(run.state.failed) == [7]
    assert len(run.state.done) == 59
    assert len(run.begun[7]) == 3


def test_a_budget_stops_the_batch_and_every_machine() -> None:
    machines = estimates(20)
    run = VirtualRun(
        terms(frames=500, max_machines=5, max_cost_wei=3 * 10**17), machines, random.Random(3), check=check_all
    ).run(5000)
    assert run.outcome == "over budget"
    assert not run.state.workers
    one_step = sum(sorted((m.price_wei for m in machines), reverse=True)[:5]) * VirtualRun.STEP_S / 3600
    assert run.state.spent_wei(run.now) <= 3 * 10**17 + one_step


def test_a_finished_batch_asks_for_nothing_but_its_end() -> None:
    state = BatchState(terms(frames=10), [one(1)], FrameSet([(0, 10)]))
    assert next_actions(state, 0.0) == [Finish("whole")]


def test_frames_that_an_earlier_run_left_are_not_given() -> None:
    state = BatchState(terms(frames=100), [], FrameSet([(10, 90)]))
    running(state, one(1))
    gives = of(Give, next_actions(state, 0.0))
    assert gives
    assert all(not 10 <= frame < 90 for give in gives for frame in give.frames)


def test_without_machines_and_candidates_the_batch_ends_incomplete() -> None:
    assert next_actions(BatchState(terms(), []), 0.0) == [Finish("incomplete")]


def test_looking_changes_nothing() -> None:
    state = BatchState(terms(), estimates(10))
    running(state, one(99))
    before = (places(state), dict(state.seen), len(state.workers))
    assert next_actions(state, 5.0) == next_actions(state, 5.0)
    assert (places(state), dict(state.seen), len(state.workers)) == before


def test_shares_are_large_first_and_one_frame_at_the_end() -> None:
    sizes = []
    pool = 1000
    while pool:
        sizes.append(share_size(pool, 0.1, 60.0, 0.0, can_skip=False))
        pool -= sizes[-1]
    # No longer than 20 minutes where a process can't be told to skip.
    assert sizes[0] == 20
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)
    assert share_size(1000, 0.1, 60.0, 0.0, can_skip=True) == 100
    assert share_size(1000, 0.001, 60.0, 60.0, can_skip=True) == 10


def test_shares_last_longer_than_a_pause_that_is_asked_for() -> None:
    assert share_size(1000, 0.1, 60.0, 0.0, can_skip=False, pause_s=120.0) == 20
    assert share_size(1000, 0.1, 60.0, 0.0, can_skip=False, pause_s=3600.0) == 90
    # At the end all are to end together, whatever is asked for.
    assert share_size(10, 0.1, 60.0, 0.0, can_skip=False, pause_s=3600.0) == 1


def test_an_idle_machine_steals_from_the_share_that_ends_last() -> None:
    state = BatchState(terms(finish_at=1000.0), [])
    early, late, thief = (running(state, one(node)) for node in (1, 2, 3))
    state.given(early.slot, FrameSet([(0, 3)]), 0.0)
    state.given(late.slot, FrameSet([(3, 100)]), 0.0)
    steals = of(Steal, next_actions(state, 20.0))
    assert [(steal.slot, steal.thief) for steal in steals] == [(late.slot, thief.slot)]
    assert 40 <= len(steals[0].frames) <= 50
    assert list(steals[0].frames)[-1] == 99
    state.stolen(late.slot, thief.slot, steals[0].frames, 20.0)
    assert max(places(state).values()) == 1
    assert sum(places(state).values()) == 100


def test_nothing_is_stolen_where_the_thief_would_end_no_earlier() -> None:
    state = BatchState(terms(frames=2, load_s=200.0, finish_at=100.0), [])
    busy, idle = running(state, one(1)), running(state, one(2))
    state.given(busy.slot, FrameSet([(0, 2)]), -200.0)
    state.began(busy.slot, 0.0)
    assert not of(Steal, next_actions(state, 10.0))
    assert [release.slot for release in of(Release, next_actions(state, 10.0))] == [idle.slot]


def test_nothing_is_stolen_from_a_process_that_can_not_skip() -> None:
    state = BatchState(terms(can_skip=False, finish_at=1000.0), [])
    busy, _ = running(state, one(1)), running(state, one(2))
    state.given(busy.slot, FrameSet([(0, 100)]), 0.0)
    assert not of(Steal, next_actions(state, 20.0))


def late_frame(spent_before_s: float) -> tuple[BatchState, Worker, Worker]:
    """One frame is left, its machine is late with it, and another one is idle."""
    state = BatchState(terms(frames=1, finish_at=200.0, first_frame_s=0.0), [])
    slow, idle = running(state, one(1), -spent_before_s), running(state, one(2), -spent_before_s)
    state.given(slow.slot, FrameSet([(0, 1)]), -10.0)
    state.began(slow.slot, 0.0)
    return state, slow, idle


def test_a_late_frame_is_raced_and_the_first_copy_wins() -> None:
    state, slow, idle = late_frame(20_000.0)
    races = of(Race, next_actions(state, 250.0))
    assert [(race.slot, race.frame) for race in races] == [(idle.slot, 0)]
    state.raced(idle.slot, 0, 250.0, races[0].cost_wei)
    assert not of(Race, next_actions(state, 260.0)), "once is enough"
    state.began(idle.slot, 260.0)
    assert state.rendered(idle.slot, 0, 60.0)
    assert not slow.share
    assert not state.rendered(slow.slot, 0, 400.0)
    assert list(state.done) == [0]


def test_racing_takes_no_more_than_a_twentieth_of_the_money() -> None:
    state, _, _ = late_frame(100.0)
    assert not of(Race, next_actions(state, 250.0))


def test_a_frame_that_has_not_begun_is_not_raced() -> None:
    state = BatchState(terms(frames=1, finish_at=100.0, load_s=500.0), [])
    slow, _ = running(state, one(1), -20_000.0), running(state, one(2), -20_000.0)
    state.given(slow.slot, FrameSet([(0, 1)]), 0.0)
    assert not of(Race, next_actions(state, 250.0))


def test_when_the_owner_of_a_raced_frame_dies_the_other_has_it() -> None:
    state, slow, idle = late_frame(20_000.0)
    state.raced(idle.slot, 0, 250.0, 1)
    state.began(idle.slot, 260.0)
    state.ended(slow.slot, 270.0, failed=True)
    assert list(idle.share) == [0]
    assert idle.race is None
    assert state.rendered(idle.slot, 0, 60.0)


def test_when_the_racer_dies_the_owner_keeps_the_frame() -> None:
    state, slow, idle = late_frame(20_000.0)
    state.raced(idle.slot, 0, 250.0, 1)
    state.ended(idle.slot, 270.0, failed=True)
    assert list(slow.share) == [0]
    assert not state.racing
    assert not state.tried


def test_a_machine_that_never_comes_up_and_one_that_sends_bad_pictures_are_given_up() -> None:
    state = BatchState(terms(), [one(9)])
    never = state.rented(one(1), 0.0)
    broken = running(state, one(2))
    state.given(broken.slot, FrameSet([(0, 50)]), 0.0)
    for frame in (0, 1):
        state.began(broken.slot, 500.0)
        state.refused_picture(broken.slot, frame)
    releases = next_actions(state, 600.0)
    assert {(release.slot, release.failed) for release in of(Release, releases)} == {
        (never.slot, True),
        (broken.slot, True),
    }
    for release in of(Release, releases):
        state.ended(release.slot, 600.0, failed=True)
    assert [rent.machine.node_id for rent in of(Rent, next_actions(state, 600.0))] == [9]
    assert state.tried == {0: (2,), 1: (2,)}


def test_a_machine_that_hangs_is_given_up() -> None:
    state = BatchState(terms(), [])
    worker = running(state, one(1))
    state.given(worker.slot, FrameSet([(0, 100)]), 0.0)
    state.began(worker.slot, 10.0)
    assert not of(Release, next_actions(state, 200.0))
    assert of(Release, next_actions(state, 3000.0))[0].failed


def test_a_machine_that_is_gone_is_never_rented_again() -> None:
    state = BatchState(terms(), [one(1), one(2)])
    first = of(Rent, next_actions(state, 0.0))[0].machine.node_id
    state.refused(first)
    assert first not in {rent.machine.node_id for rent in of(Rent, next_actions(state, 0.0))}


def test_a_good_machine_that_was_let_go_is_the_next_to_be_rented_and_a_failed_one_never() -> None:
    state = BatchState(terms(frames=500), [one(1), one(2), one(3)])
    first, second = state.rented(one(1), 0.0), state.rented(one(2), 0.0)
    state.ended(first.slot, 10.0, failed=False)
    state.ended(second.slot, 10.0, failed=True)
    assert [machine.node_id for machine in state.candidates()] == [1, 3]


def test_half_of_what_is_needed_is_rented_until_ten_places_of_the_film_were_seen() -> None:
    def rents(places_seen: int) -> int:
        state = BatchState(
            terms(frames=3000, max_machines=300, finish_at=7200.0), [one(node) for node in range(1, 200)]
        )
        for slot in range(places_seen):
            worker = running(state, one(1000 + slot))
            state.given(worker.slot, FrameSet([(slot * 100, slot * 100 + 1)]), 0.0)
            state.began(worker.slot, 10.0)
            state.rendered(worker.slot, slot * 100, 60.0)
            state.ended(worker.slot, 70.0, failed=True)
        return len(of(Rent, next_actions(state, 100.0)))

    assert 1.7 * rents(9) < rents(10) < 2.3 * rents(9)


def test_a_shot_that_is_hard_does_not_make_a_machine_slow_but_its_neighbours_do() -> None:
    def factor(neighbours_s: float) -> float:
        state = BatchState(terms(frames=200), [])
        slow, other = running(state, one(1)), running(state, one(2))
        state.given(other.slot, FrameSet([(0, 50)]), 0.0)
        state.given(slow.slot, FrameSet([(50, 100)]), 0.0)
        for frame in range(20, 50):
            state.rendered(other.slot, frame, neighbours_s)
        for frame in range(50, 80):
            state.rendered(slow.slot, frame, 180.0)
        return state.seen[slow.slot].factor

    assert factor(180.0) == pytest.approx(1.0)
    assert factor(60.0) < 0.6


def test_behind_the_deadline_more_are_rented_and_ahead_of_it_the_dearest_goes() -> None:
    behind = BatchState(terms(frames=500, max_machines=50, finish_at=7200.0), [one(node) for node in range(10, 40)])
    running(behind, one(1))
    assert len(of(Rent, next_actions(behind, 100.0))) >= 2

    ahead = BatchState(terms(frames=100, max_machines=50, finish_at=7200.0, work_sigma=0.0), [])
    cheap, dear, middle = (
        running(ahead, one(1, price=1)),
        running(ahead, one(2, price=9)),
        running(ahead, one(3, price=5)),
    )
    for worker, first in ((cheap, 0), (dear, 30), (middle, 60)):
        ahead.given(worker.slot, FrameSet([(first, first + 30)]), 1300.0)
        ahead.began(worker.slot, 1310.0)
        ahead.rendered(worker.slot, first, 60.0)
        ahead.began(worker.slot, 1370.0)
    leaves = of(Leave, next_actions(ahead, 1400.0))
    assert [leave.slot for leave in leaves] == [dear.slot]
    assert list(leaves[0].frames) == list(range(32, 60))
    ahead.left_alone(dear.slot, leaves[0].frames)
    assert list(dear.share) == [31]
    ahead.rendered(dear.slot, 31, 60.0)
    assert dear.slot in [release.slot for release in of(Release, next_actions(ahead, 1450.0))]


@pytest.mark.parametrize("upload_s", [0.0, 300.0])
def test_machines_are_not_rented_to_wait_for_the_line(upload_s: float) -> None:
    state = BatchState(terms(frames=3000, max_machines=50, upload_s=upload_s, finish_at=20_000.0), estimates(50))
    rents = len(of(Rent, next_actions(state, 0.0)))
    assert rents == 1 if upload_s else rents > 3


def test_a_million_frames_are_a_few_ranges() -> None:
    state = BatchState(terms(frames=1_000_000, max_machines=1000, finish_at=10**6), estimates(1000, frame_s=1000.0))
    for action in of(Rent, next_actions(state, 0.0)):
        state.ready(state.rented(action.machine, 0.0).slot, 0.0)
    for give in of(Give, next_actions(state, 1.0)):
        state.given(give.slot, give.frames, 1.0)
        assert len(give.frames.ranges()) == 1
    assert len(state.waiting.ranges()) <= 1
    assert len(state.waiting) + sum(len(worker.share) for worker in state.workers.values()) == 1_000_000


def test_machines_that_come_on_the_market_are_rented_after_the_plans_and_none_is_taken_twice() -> None:
    state = BatchState(terms(), [one(1), one(2), one(3)])
    state.rented(one(1), 0.0)
    state.refused(2)
    broken = state.rented(one(4), 0.0)
    state.ended(broken.slot, 10.0, failed=True)
    offered = [one(node, price=price) for node, price in ((1, 1), (2, 1), (3, 1), (4, 1), (5, 9), (6, 7), (5, 8))]
    state.offer([*offered, one(7, speed=1.0, price=60)])
    # Node 7 is dearer by the hour and cheapest by the frame.
    assert [machine.node_id for machine in state.candidates()] == [3, 7, 6, 5]
    assert [machine.price_wei for machine in state.candidates()] == [10**18, 60, 7, 8]


def test_a_machine_that_was_let_go_and_is_offered_again_is_a_candidate_once() -> None:
    state = BatchState(terms(frames=500), [one(1), one(2), one(3)])
    # Not the first of the candidates: those before it were of no use at the time.
    worker = state.rented(one(2), 0.0)
    state.ended(worker.slot, 10.0, failed=False)
    state.offer([one(2)])
    assert [machine.node_id for machine in state.candidates()] == [2, 1, 3]
    state.rented(one(2), 20.0)
    assert [machine.node_id for machine in state.candidates()] == [1, 3]


@pytest.mark.parametrize(("most", "ends"), [(0, True), (1, False), (None, False)])
def test_more_frames_given_up_than_allowed_end_the_batch_at_once(most: int | None, ends: bool) -> None:
    state = BatchState(terms(tries_per_frame=1, max_failed_frames=most), [one(9)])
    worker = running(state, one(1))
    assert Finish("incomplete") not in next_actions(state, 0.0)
    state.given(worker.slot, FrameSet([(0, 50)]), 0.0)
    state.began(worker.slot, 10.0)
    state.refused_picture(worker.slot, 0)
    actions = next_actions(state, 20.0)
    assert (Finish("incomplete") in actions) == ends
    if ends:
        assert [(release.slot, release.failed) for release in of(Release, actions)] == [(worker.slot, False)]
        assert not of(Rent, actions)


def test_in_a_spread_order_all_machines_share_the_first_pass_and_then_fill_the_gaps() -> None:
    numbers, first_pass = in_order(range(1, 481), "spread")
    state = BatchState(terms(frames=480, first_pass=first_pass, finish_at=20_000.0), [])
    workers = [running(state, one(node)) for node in range(1, 5)]
    gives = of(Give, next_actions(state, 0.0))
    assert sorted(numbers[place] for give in gives for place in give.frames) == list(range(1, 481, 10))
    assert {len(give.frames) for give in gives} == {12}
    for give in gives:
        state.given(give.slot, give.frames, 0.0)
        for place in list(give.frames):
            state.rendered(give.slot, place, 30.0 * give.slot + 30.0)
    # Far apart in the film, they do not tell who is slow.
    assert {seen.factor for seen in state.seen.values()} == {1.0}
    gives = of(Give, next_actions(state, 400.0))
    assert len(gives) == len(workers)
    assert all(len(give.frames.ranges()) == 1 and len(give.frames) > 40 for give in gives)


def rendering(state: BatchState, node: int, frames: tuple[int, int], took_s: list[float], now: float) -> Worker:
    """A machine that has rendered the first frames of a share, and is at the next."""
    worker = running(state, one(node))
    state.given(worker.slot, FrameSet([frames]), now)
    for place, seconds in enumerate(took_s, frames[0]):
        state.began(worker.slot, now)
        state.rendered(worker.slot, place, seconds)
    if worker.share:
        state.began(worker.slot, now)
    return worker


def test_a_hard_shot_at_the_beginning_of_a_share_does_not_count_for_all_of_it() -> None:
    def work_left(took_s: float) -> float:
        state = BatchState(terms(frames=4000, finish_at=50_000.0), [])
        for node, first in enumerate((0, 1000, 2000, 3000), 1):
            rendering(state, node, (first, first + 1000), [took_s if node == 1 else 60.0] * 20, 100.0)
        return Outlook(state, 100.0).work_left()

    # One place of four is six times as hard, and the film's average is known from three before: a quarter more or so.
    assert work_left(60.0) == pytest.approx(3920, rel=0.01)
    assert 3920 * 1.1 < work_left(360.0) < 3920 * 1.9


def test_a_place_counts_once_however_many_frames_of_it_are_done() -> None:
    state = BatchState(terms(frames=1280, finish_at=50_000.0), [])
    rendering(state, 1, (0, 320), [30.0] * 300, 100.0)
    for node, first in enumerate((600, 900), 2):
        rendering(state, node, (first, first + 200), [120.0], 100.0)
    # 8 places at half of the average, 2 at twice of it, and 3 that were measured.
    assert Outlook(state, 100.0).frame_work == pytest.approx((8 * 0.5 + 2 * 2 + 3) / 13, rel=0.02)


def test_a_hard_place_is_counted_before_its_first_frame_has_come() -> None:
    def work_left(at_it_s: float) -> float:
        state = BatchState(terms(frames=640, finish_at=50_000.0, first_frame_s=0.0), [])
        worker = running(state, one(1))
        state.given(worker.slot, FrameSet([(0, 100)]), 0.0)
        state.began(worker.slot, 0.0)
        return Outlook(state, at_it_s).work_left()

    assert work_left(30.0) == pytest.approx(640)
    assert work_left(180.0) > 700


def test_no_machine_is_rented_for_frames_that_all_have_begun() -> None:
    def rents(frames_each: int) -> int:
        state = BatchState(
            terms(frames=2 * frames_each, max_machines=50, finish_at=2000.0, first_frame_s=0.0),
            [one(node, speed=1 / 30) for node in range(10, 40)],
        )
        for node in (1, 2):
            first = (node - 1) * frames_each
            rendering(state, node, (first, first + frames_each), [], 1000.0)
        return len(of(Rent, next_actions(state, 1400.0)))

    assert rents(1) == 0
    assert rents(100) > 1


def test_a_frame_of_a_hard_shot_is_not_raced_for_being_hard() -> None:
    def races(before_s: float) -> list[Race]:
        state = BatchState(terms(frames=400, finish_at=50_000.0, first_frame_s=0.0), [])
        rendering(state, 1, (0, 40), [before_s] * 30, 20_000.0)
        rendering(state, 2, (200, 208), [60.0] * 8, 20_000.0)
        # The others are done: a share of one frame can't be stolen from.
        state.workers[0].share.remove(FrameSet([(31, 40)]))
        state.waiting.remove(FrameSet([(0, 400)]))
        return of(Race, next_actions(state, 20_000.0 + 400.0))

    assert races(60.0)
    assert not races(300.0)


def test_where_shares_are_short_all_of_the_film_is_heard_of_early() -> None:
    state = BatchState(terms(frames=1000, max_machines=60, finish_at=14_400.0), [])
    for node in range(1, 61):
        running(state, one(node))
    begins = sorted(give.frames.first for give in of(Give, next_actions(state, 0.0)))
    assert len(begins) == 60
    # Given from the beginning on, more than a third of the film would be nobody's, all of it at the end.
    assert max(later - earlier for earlier, later in itertools.pairwise([*begins, 1000])) <= 64


def test_late_in_a_batch_a_fast_machine_is_rented_before_a_slow_one_that_was_cheaper() -> None:
    def first_rent(finish_at: float) -> int:
        slow, fast = one(10, speed=1 / 60, price=100), one(11, speed=1 / 20, price=330)
        state = BatchState(terms(frames=2000, max_machines=50, finish_at=finish_at), [slow, fast])
        rendering(state, 1, (0, 2000), [60.0] * 30, 100.0)
        return of(Rent, next_actions(state, 100.0))[0].machine.node_id

    assert first_rent(30_000.0) == 10
    assert first_rent(500.0) == 11


def test_a_frame_is_not_stolen_by_a_machine_that_has_tried_it() -> None:
    state = BatchState(terms(finish_at=1000.0), [])
    thief, other = running(state, one(1)), running(state, one(2))
    state.given(thief.slot, FrameSet([(80, 81)]), 0.0)
    state.began(thief.slot, 10.0)
    state.refused_picture(thief.slot, 80)
    state.given(other.slot, FrameSet([(0, 100)]), 0.0)
    steals = of(Steal, next_actions(state, 20.0))
    assert [list(steal.frames) for steal in steals] == [list(range(81, 100))]


@pytest.mark.parametrize("has_rendered", [False, True])
def test_a_machine_that_says_nothing_any_more_is_given_up_though_it_is_at_no_frame(has_rendered: bool) -> None:
    state = BatchState(terms(), [])
    worker = running(state, one(1))
    state.given(worker.slot, FrameSet([(0, 100)]), 0.0)
    heard_at = 0.0
    if has_rendered:
        heard_at = 1000.0
        state.heard(worker.slot, heard_at)
        state.rendered(worker.slot, 0, None)
    assert not of(Release, next_actions(state, heard_at + 500.0))
    assert of(Release, next_actions(state, heard_at + 3000.0))[0].failed


def test_a_frame_that_came_late_is_no_work_any_more() -> None:
    state = BatchState(terms(frames=10), [])
    for frame in range(10):
        state.found(frame)
        state.found(frame)
    assert state.left == 0
    assert state.pace.work_left(1.0) == pytest.approx(0.0)


def test_a_machine_that_is_rented_because_it_is_late_gets_frames_when_it_is_up() -> None:
    dearer = [one(node_id, 1 / 31, 2 * 10**18) for node_id in (2, 3)]
    state = BatchState(terms(frames=16, finish_at=600.0, max_machines=3, load_s=0.0, first_frame_s=0.0), dearer)
    first = running(state, one(1, 1 / 33))
    state.given(first.slot, FrameSet([(0, 16)]), 10.0)
    for frame in range(3):
        state.began(first.slot, 10.0 + 33 * frame)
        state.rendered(first.slot, frame, 33.0)
    state.began(first.slot, 109.0)
    rents = of(Rent, next_actions(state, 113.0))
    assert rents
    for rent in rents:
        running(state, rent.machine, 113.0)
    actions = next_actions(state, 117.0)
    assert of(Steal, actions)
    assert not of(Release, actions)


def test_a_cap_keeps_nobody_from_renting_what_costs_less_than_going_on_without() -> None:
    fast, alike = one(10, speed=1 / 6), one(11)

    def rents(machine: MachineEstimate) -> int:
        state = BatchState(terms(frames=200, max_machines=50, finish_at=4000.0, max_cost_wei=10**18 // 2), [machine])
        rendering(state, 1, (0, 200), [120.0] * 8, 500.0)
        return len(of(Rent, next_actions(state, 500.0)))

    # Either way the cap is not enough: with the fast one more frames come of it.
    assert rents(fast) == 1
    assert rents(alike) == 0
