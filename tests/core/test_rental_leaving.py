"""A start that is given up since its caller leaves: its own machine is stopped for certain, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from octa_provider.errors import OctaCancelledError
from octa_provider.rental.leaving import Leaving
from tests.core.rental_bench import MISSING, START, Bench, bench, emulator

__all__ = ["bench", "emulator"]

LOST = [{"kind": "drop_after", **START}, {**MISSING, "times": None}]


def once_it_has_asked(bench: Bench) -> Callable[[], bool]:
    """Says that the caller leaves once a machine was asked; from then on the lists show what runs."""

    def is_leaving() -> bool:
        if not bench.posts():
            return False
        bench.emulator.clear_faults()
        return True

    return is_leaving


def test_with_its_answer_lost_it_stops_its_own_and_not_what_another_has_rented(bench: Bench) -> None:
    bench.emulator.faults(*LOST)
    theirs: list[str] = []
    bench.clock.later(5, lambda: theirs.append(bench.rent_elsewhere(node_id=1004)))
    with pytest.raises(OctaCancelledError, match="was given up, since whoever wanted it leaves"):
        bench.start(leaving=Leaving(once_it_has_asked(bench)))
    assert len(bench.sessions()) == 2
    assert bench.running() == theirs


def test_its_own_that_another_has_taken_up_stays(bench: Bench) -> None:
    bench.emulator.faults(*LOST)
    asked: list[str] = []

    def is_taken(uuid: str) -> bool:
        asked.append(uuid)
        return True

    with pytest.raises(OctaCancelledError):
        bench.start(leaving=Leaving(once_it_has_asked(bench), is_taken))
    assert bench.running() == asked == [one["uuid"] for one in bench.sessions()]


def test_its_own_whose_answer_was_told_is_stopped_too(bench: Bench) -> None:
    started: list[str] = []
    theirs = bench.rent_elsewhere(key=None)
    with pytest.raises(OctaCancelledError):
        bench.start(on_started=lambda one: started.append(one.uuid), leaving=Leaving(lambda: bool(started)))
    assert bench.running() == []
    assert bench.session(theirs)["stopped_ms"] is None
    bench.emulator.end_session(theirs)


def test_a_key_that_is_cancelled_as_well_leaves_nothing(bench: Bench) -> None:
    bench.emulator.faults(*LOST)
    bench.clock.later(5, lambda: bench.rent_elsewhere(node_id=1004))
    has_asked = once_it_has_asked(bench)
    with pytest.raises(OctaCancelledError):
        bench.start(leaving=Leaving(has_asked), is_cancelled=has_asked)
    assert len(bench.sessions()) == 2
    assert bench.running() == []


def test_whoever_leaves_before_it_asks_has_rented_nothing(bench: Bench) -> None:
    with pytest.raises(OctaCancelledError):
        bench.start(leaving=Leaving(lambda: True), wait_for_machine_s=600)
    assert bench.posts() == 0
