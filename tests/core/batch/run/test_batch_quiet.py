"""For how long a batch can be left to its machines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.run.pausing import quiet_s
from octa_provider.batch.state import BatchState
from octa_provider.batch.terms import BatchTerms
from octa_provider.batch.worker import Worker

FRAME_S = 10.0
NOW = 1000.0
WEI_PER_HOUR = 3_600_000


def at_work(frames: int = 100, finish_at: float = 1e9) -> BatchState:
    """Two machines that have rendered five frames each, and have half of the others each."""
    machines = [MachineEstimate(node, WEI_PER_HOUR, 0.4, 1 / FRAME_S, 100.0) for node in (1, 2)]
    state = BatchState(BatchTerms(frames, 2, began_at=0.0, finish_at=finish_at, load_s=0.0), machines)
    for place, machine in enumerate(machines):
        worker = state.rented(machine, 0.0)
        state.ready(worker.slot, 100.0)
        first = place * frames // 2
        state.given(worker.slot, FrameSet([(first, first + frames // 2)]), 100.0)
        for frame in range(first, first + 5):
            state.rendered(worker.slot, frame, FRAME_S)
        state.began(worker.slot, NOW)
    return state


def quiet(
    state: BatchState, *, has_deadline: bool = False, left_wei: int | None = None, left_s: float | None = None
) -> float:
    return quiet_s(state, NOW, has_deadline=has_deadline, left_wei=left_wei, left_s=left_s)


def test_it_is_left_for_less_than_the_first_machine_has_work() -> None:
    assert 200.0 < quiet(at_work()) < 45 * FRAME_S


def test_nobody_is_left_alone_for_longer_than_an_hour() -> None:
    assert quiet(at_work(frames=10_000)) == 3600.0


def test_a_machine_that_was_seen_for_a_minute_is_left_for_a_few() -> None:
    state = at_work(frames=10_000)
    state.workers[0].ready_at = NOW - 60.0
    assert quiet(state) == 240.0


def test_somebody_is_back_long_before_the_deadline() -> None:
    state = at_work(frames=1000, finish_at=NOW + 2000.0)
    assert 0.0 < quiet(state, has_deadline=True) <= 500.0
    assert quiet(state) > 1000.0
    assert quiet(at_work(finish_at=NOW - 1.0), has_deadline=True) == 0.0


def test_somebody_is_back_while_the_cap_pays_for_a_stop() -> None:
    # Both cost 2,000 wei a second.
    assert quiet(at_work(), left_wei=2000 * 190) == pytest.approx(100.0)
    assert quiet(at_work(), left_wei=2000 * 80) == 0.0


def test_somebody_is_back_before_the_machines_have_run_for_as_long_as_they_may() -> None:
    assert quiet(at_work(), left_s=190.0) == pytest.approx(100.0)
    assert quiet(at_work(), left_s=80.0) == 0.0


def _starts(worker: Worker) -> None:
    worker.ready_at = None


def _has_nothing(worker: Worker) -> None:
    worker.share = FrameSet()


def _races(worker: Worker) -> None:
    worker.race = 7


def _leaves(worker: Worker) -> None:
    worker.leaving = True


def _has_shown_nothing(worker: Worker) -> None:
    worker.rendered = 0


def _sends_bad_pictures(worker: Worker) -> None:
    worker.bad = 1


@pytest.mark.parametrize(
    "change",
    [_starts, _has_nothing, _races, _leaves, _has_shown_nothing, _sends_bad_pictures],
    ids=lambda f: f.__name__,
)
def test_no_batch_is_left_of_which_one_machine_needs_somebody(change: Callable[[Worker], None]) -> None:
    state = at_work()
    change(state.workers[1])
    assert quiet(state) == 0.0
