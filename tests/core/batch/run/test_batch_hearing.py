"""What follows at once from what a machine tells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from fast_clock import FastClock

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.run.dispatch import Dispatch
from octa_provider.batch.run.hearing import Hearing
from octa_provider.batch.run.places import Places
from octa_provider.batch.run.scene_errors import SceneErrors
from octa_provider.batch.run.told import Bad
from octa_provider.batch.state import BatchState
from octa_provider.batch.terms import BatchTerms


def test_a_bad_copy_of_a_frame_that_another_has_brought_is_not_begun_again() -> None:
    nobody = cast(Any, SimpleNamespace(tell=lambda *_, **__: None, clock=FastClock(1.0)))
    places = Places((1, 2, 3))
    state = BatchState(BatchTerms(3, 2, 0.0, 3600.0), [])
    one, other = (state.rented(MachineEstimate(node, 10**18, 0.1, 1 / 60, 150.0), 0.0) for node in (1, 2))
    crew = cast(Any, SimpleNamespace(thread=lambda number: SimpleNamespace(estimate=one.machine)))
    dispatch = Dispatch(crew, places)
    dispatch.seat(one.slot, 7)
    state.given(one.slot, FrameSet([(0, 3)]), 0.0)
    # It was on the disk of a machine that an earlier run had rented.
    assert state.rendered(other.slot, 0, None)
    hearing = Hearing(nobody, crew, state, places, dispatch, nobody, SceneErrors(), lambda node_id: 1)

    hearing.hear(7, Bad(1, "is cut off"))

    assert list(one.share) == [1, 2]
    assert list(state.done) == [0]
    assert not state.tried
