"""A batch that waits for a machine instead of failing: at its beginning, in its middle, and while nobody looks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from studio import Studio
from test_batch_pause import batch_of, pause

from octa_provider.batch.estimate import SceneEstimate
from octa_provider.batch.events import BatchEvent
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaCancelledError, OctaConfigError, OctaNoMachineError
from octa_provider.market.requirements import Requirements
from octa_provider.pictures import check_frames

CATALOGUE = {"kind": "garbage", "method": "GET", "path": "^/services/mr$", "body": "[]"}
#: Nothing is on offer, until it is lifted.
EMPTY = {**CATALOGUE, "times": None}
FULL = {"kind": "refuse", "reason": "Node is busy", "times": None}
HOUR_S = 3600.0
WAIT_S = 600.0
PAUSE_S = 30.0


def reasons(studio: Studio) -> list[str]:
    return [event.reason for event in studio.told("waiting")]


def once(kind: str, act: Callable[[], object], at: int = 1) -> Callable[[BatchEvent], None]:
    """Do something at an event of a kind, the first, or the one of that number."""
    seen: list[BatchEvent] = []

    def hear(event: BatchEvent) -> None:
        if event.kind == kind:
            seen.append(event)
            if len(seen) == at:
                act()

    return hear


@pytest.mark.parametrize("known", [{}, {"seconds_per_frame": 10.0}], ids=["measured first", "planned at once"])
def test_it_waits_for_the_first_machine_and_rents_no_more_than_it_would_have(
    studio: Studio, known: dict[str, Any]
) -> None:
    studio.emulator.faults({**CATALOGUE, "times": 3})
    result = studio.run(studio.batch("1-4", wait_for_machine_s=HOUR_S, max_machines=1, **known))
    assert result.outcome is BatchOutcome.WHOLE
    assert check_frames(studio.output, "1-4").whole
    assert reasons(studio)[0] == "up to 1h: no machine fits: the catalogue is empty"
    assert reasons(studio)[1].startswith("over after ")
    assert len(reasons(studio)) == 2
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()


def test_what_a_host_is_called_makes_no_line_of_a_wait(studio: Studio) -> None:
    listed = studio.emulator.request("GET", "/services/mr").json()
    record = next(one for one in listed if one and one.get("gpus") and one.get("gpu"))
    text = json.dumps([record]).replace(record["gpus"][0]["model"], r"RTX\n[paused]\u001b[2J\ud800" + "x" * 5000)
    studio.emulator.faults({**EMPTY, "body": text})
    batch = studio.batch("1-4", requirements=Requirements(country="Nowhere"), wait_for_machine_s=HOUR_S)
    assert studio.run(batch, pause_s=PAUSE_S).outcome is BatchOutcome.PAUSED
    assert "nearest: node" in reasons(studio)[0]
    assert reasons(studio)[0].isprintable()
    assert len(reasons(studio)[0]) < 600
    studio.emulator.clear_faults()


def test_without_a_wait_it_fails_at_once_as_ever(studio: Studio) -> None:
    studio.emulator.faults(EMPTY)
    with pytest.raises(OctaNoMachineError) as caught:
        studio.run(studio.batch("1-4"))
    assert "Waited" not in str(caught.value)
    assert studio.told("waiting") == []
    assert studio.posts() == 0


def test_a_wait_that_is_over_says_how_long_it_was_and_has_rented_nothing(studio: Studio) -> None:
    studio.emulator.faults(EMPTY)
    with pytest.raises(OctaNoMachineError, match=r"catalogue is empty\. Waited .* \(wait_for_machine_s\)") as caught:
        studio.run(studio.batch("1-4", wait_for_machine_s=60.0))
    assert caught.value.waited_s >= 60
    assert studio.posts() == 0


def test_a_full_market_is_waited_for_and_one_that_has_refused_is_not_asked_at_once(studio: Studio) -> None:
    studio.emulator.faults({**FULL, "times": 7})
    nodes = {machine.node_id for machine in studio.octa.services.mr.available()}
    batch = studio.batch("1-4", wait_for_machine_s=HOUR_S, seconds_per_frame=10.0)
    result = studio.run(batch)
    assert result.outcome is BatchOutcome.WHOLE
    assert studio.starts() <= 7 + len(nodes)
    assert studio.nothing_runs()


@pytest.mark.parametrize("known", [{}, {"seconds_per_frame": 10.0}], ids=["measured first", "planned at once"])
def test_a_wait_is_cancelled_like_anything_else(studio: Studio, known: dict[str, Any]) -> None:
    studio.emulator.faults(EMPTY)
    result = studio.run(
        studio.batch("1-4", wait_for_machine_s=HOUR_S, **known), is_cancelled=lambda: bool(studio.told("waiting"))
    )
    assert result.outcome is BatchOutcome.CANCELLED
    assert studio.posts() == 0


def test_it_waits_in_its_middle_too_when_its_machines_have_ended_and_none_is_left(studio: Studio) -> None:
    emulator = studio.emulator

    def lose_all() -> None:
        emulator.faults(EMPTY)
        for uuid in emulator.ledger(requests=False)["running_uuids"]:
            emulator.end_session(uuid, "Node is offline")

    hear_frame, hear_wait = once("frame accepted", lose_all, at=4), once("waiting", emulator.clear_faults)

    def hear(event: BatchEvent) -> None:
        hear_frame(event)
        hear_wait(event)

    batch = studio.batch("1-8", frame_s=1.0, wait_for_machine_s=HOUR_S, max_machines=1)
    result = studio.run(batch, on_event=hear, approve=lambda plan: True)
    assert result.outcome is BatchOutcome.WHOLE, result
    assert check_frames(studio.output, "1-8").whole
    assert [reason.partition(" ")[0] for reason in reasons(studio)] == ["up", "over"]
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()


def test_whoever_can_come_back_is_let_go_meanwhile_and_the_wait_counts_on(studio: Studio) -> None:
    studio.emulator.faults(EMPTY)
    batch = studio.batch("1-4", wait_for_machine_s=WAIT_S, seconds_per_frame=10.0, max_machines=1)
    paused = studio.run(batch, pause_s=PAUSE_S)
    assert (paused.outcome, paused.sessions, paused.paid_for_s) == (BatchOutcome.PAUSED, (), None)
    assert WAIT_S / 2 < paused.wake_after_s <= WAIT_S
    assert [event.kind for event in studio.events][-3:] == ["waiting", "paused", "ended"]
    assert studio.told("paused")[0].reason == "a machine is waited for"

    studio.sleep(60.0)
    again = studio.run(batch, pause_s=PAUSE_S)
    assert again.outcome is BatchOutcome.PAUSED
    assert again.wake_after_s <= paused.wake_after_s - 60

    studio.sleep(again.wake_after_s + 1)
    with pytest.raises(OctaNoMachineError, match=r"Waited \d+m"):
        studio.run(batch, pause_s=PAUSE_S)
    assert studio.posts() == 0

    studio.emulator.clear_faults()
    assert studio.run(batch, pause_s=PAUSE_S).outcome is BatchOutcome.WHOLE
    assert studio.nothing_runs()


@pytest.mark.parametrize("known", [{}, {"seconds_per_frame": 10.0}], ids=["measured first", "planned at once"])
def test_a_price_that_rises_at_the_start_is_neither_the_end_of_a_wait_nor_the_time_of_a_machine(
    studio: Studio, known: dict[str, Any]
) -> None:
    plan = studio.octa.batches.plan(studio.batch("1-4", max_machines=1), SceneEstimate(4, 10.0))
    assert plan.chosen is not None
    machines = [*(one.estimate for one in plan.chosen.machines), *plan.next_machines]
    machine = next(one for one in machines if one.price_usd)
    requirements = Requirements(node_id=machine.node_id, max_price_usd=1.5 * machine.price_usd)
    studio.emulator.faults({"kind": "raise_price", "factor": 2})
    batch = studio.batch("1-4", wait_for_machine_s=HOUR_S, max_machines=1, requirements=requirements, **known)
    paused = studio.run(batch, pause_s=PAUSE_S)
    assert (paused.outcome, paused.sessions) == (BatchOutcome.PAUSED, ())
    assert studio.starts() == 1
    assert studio.nothing_runs()
    # From then on `max_duration_s` would count, although there is no machine.
    assert json.loads((studio.output / ".octa" / "pause.json").read_text())["rented_at"] is None


@pytest.mark.parametrize("begun", [False, True], ids=["not begun", "begun"])
def test_a_paused_wait_that_is_to_be_longer_or_shorter_is_so_by_the_difference(studio: Studio, begun: bool) -> None:
    batch = studio.batch("1-4", wait_for_machine_s=HOUR_S, seconds_per_frame=10.0, max_machines=1)
    if begun:
        studio.emulator.faults(FULL)
        assert studio.run(batch, pause_s=PAUSE_S).outcome is BatchOutcome.PAUSED
        studio.emulator.clear_faults()
    studio.emulator.faults(EMPTY)
    paused = studio.run(batch, pause_s=PAUSE_S)
    assert paused.outcome is BatchOutcome.PAUSED
    longer = studio.run(replace(batch, wait_for_machine_s=5 * HOUR_S), pause_s=PAUSE_S)
    assert longer.wake_after_s > paused.wake_after_s + 3 * HOUR_S
    shorter = studio.run(replace(batch, wait_for_machine_s=3 * HOUR_S), pause_s=PAUSE_S)
    assert shorter.outcome is BatchOutcome.PAUSED
    assert longer.wake_after_s - 3 * HOUR_S < shorter.wake_after_s < longer.wake_after_s - HOUR_S
    assert studio.nothing_runs()


def test_one_that_has_begun_is_let_go_too_and_goes_on_under_its_plan(studio: Studio) -> None:
    emulator = studio.emulator

    def lose_all() -> None:
        emulator.faults(EMPTY)
        for uuid in emulator.ledger(requests=False)["running_uuids"]:
            emulator.end_session(uuid, "Node is offline")

    terms = {"seconds_per_frame": 60.0, "max_machines": 1, "max_cost_usd": 1.0}
    batch = studio.batch("1-8", frame_s=1.0, wait_for_machine_s=HOUR_S, **terms)
    hear = once("frame accepted", lose_all, at=3)
    paused = studio.run(batch, pause_s=PAUSE_S, on_event=hear)
    while paused.outcome is BatchOutcome.PAUSED and paused.sessions:
        paused = studio.run(batch, pause_s=PAUSE_S, on_event=hear)
    assert (paused.outcome, paused.sessions) == (BatchOutcome.PAUSED, ())
    assert 3 <= paused.done < 8
    emulator.clear_faults()
    asked: list[object] = []
    result = studio.run(batch, pause_s=PAUSE_S, approve=lambda plan: bool(asked.append(plan)) or True)
    while result.outcome is BatchOutcome.PAUSED:
        studio.sleep(result.wake_after_s)
        result = studio.run(batch, pause_s=PAUSE_S)
    assert result.outcome is BatchOutcome.WHOLE
    assert asked == [], "what was approved before is gone on with"
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()


def test_measuring_and_quoting_wait_too(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    studio.emulator.faults({**CATALOGUE, "times": 3})
    key = studio.emulator.ssh_private_key
    batch = studio.batch("1-12", wait_for_machine_s=HOUR_S)
    assert studio.octa.batches.measure(batch, "test/batch", private_key=key).chosen is not None
    assert studio.nothing_runs()
    starts = studio.starts()
    studio.emulator.faults({**CATALOGUE, "times": 3})
    told: list[str] = []
    quote = studio.octa.batches.quote(batch, on_waiting=told.append)
    assert quote.chosen.cost_most_usd > 0
    assert told[0] == "waiting for a machine: up to 1h: no machine fits: the catalogue is empty"
    assert told[1].startswith("waiting for a machine: over after ")
    assert studio.starts() == starts

    studio.emulator.faults(EMPTY)
    with pytest.raises(OctaCancelledError):
        studio.octa.batches.quote(batch, is_cancelled=lambda: len(told) > 2, on_waiting=told.append)


@pytest.mark.parametrize("value", [-1, float("nan"), "an hour", True])
def test_a_wait_that_is_none_is_refused(studio: Studio, value: Any) -> None:
    with pytest.raises(OctaConfigError, match="wait_for_machine_s must be"):
        studio.batch("1-4", wait_for_machine_s=value)


def test_the_folder_knows_how_long_it_waits(studio: Studio) -> None:
    studio.emulator.faults({**CATALOGUE, "times": 2})
    renderer = Renderer("frames", "octa-fake-renderer --frames {frames} --output {output} --seconds 0.1")
    batch = studio.batch("1-3", wait_for_machine_s=HOUR_S, renderer=renderer, max_machines=1)
    assert studio.run(batch).outcome is BatchOutcome.WHOLE
    (studio.output / "frame_0002.png").unlink()
    studio.emulator.faults({**CATALOGUE, "times": 2})
    assert studio.resume().outcome is BatchOutcome.WHOLE


@pytest.mark.parametrize("known", [{}, {"seconds_per_frame": 10.0}], ids=["measured first", "planned at once"])
def test_before_it_has_begun_it_waits_no_longer_than_its_deadline(studio: Studio, known: dict[str, Any]) -> None:
    studio.emulator.faults(EMPTY)
    batch = studio.batch("1-4", wait_for_machine_s=HOUR_S, finish_within_s=120.0, **known)
    paused = studio.run(batch, pause_s=PAUSE_S)
    assert (paused.outcome, paused.wake_after_s <= 120.0) == (BatchOutcome.PAUSED, True)
    studio.sleep(121.0)
    # One that comes now comes too late: nothing is rented to find that out.
    studio.emulator.clear_faults()
    with pytest.raises(OctaNoMachineError, match=r"deadline has passed meanwhile \(finish_within_s=120\)"):
        studio.run(batch, pause_s=PAUSE_S)
    assert studio.posts() == 0


def test_where_nothing_is_missing_nothing_is_waited_for(studio: Studio) -> None:
    batch = studio.batch("1-3", wait_for_machine_s=HOUR_S, max_machines=1)
    assert studio.run(batch).outcome is BatchOutcome.WHOLE
    starts = studio.starts()
    studio.emulator.faults(EMPTY)
    told: list[str] = []
    assert studio.octa.batches.plan(batch, on_waiting=told.append).chosen is None
    assert studio.run(batch).outcome is BatchOutcome.WHOLE
    assert (told, studio.told("waiting"), studio.starts()) == ([], [], starts)


def test_a_plan_with_what_was_measured_before_waits_for_what_it_is_made_with(studio: Studio) -> None:
    key = studio.emulator.ssh_private_key
    batch = studio.batch("1-12", wait_for_machine_s=HOUR_S)
    studio.octa.batches.measure(batch, "test/batch", private_key=key)
    starts = studio.starts()
    studio.emulator.faults({**CATALOGUE, "times": 2})
    assert studio.octa.batches.measure(batch, "test/batch", private_key=key).chosen is not None
    assert studio.starts() == starts


def test_a_killed_run_whose_machine_was_the_last_one_on_offer_goes_on_with_it(studio: Studio) -> None:
    batch = batch_of(studio, "1-60", max_machines=1, max_cost_usd=50.0)
    paused = pause(studio, batch)
    (studio.output / ".octa" / "pause.json").unlink()
    studio.emulator.faults(EMPTY)
    starts = studio.starts()
    result = studio.run(batch, approve=lambda plan: False)
    # What it was begun with is gone on with, and nobody is asked again. Whether all frames come of it is not shown:
    # a machine that was rented in the emulator's time has, on the studio's quick clock, cost a busy computer much.
    assert result.outcome in {BatchOutcome.WHOLE, BatchOutcome.OVER_BUDGET, BatchOutcome.INCOMPLETE}, result
    assert [event.uuid for event in studio.told("machine rented")] == list(paused.sessions)
    assert studio.starts() == starts
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()


def test_one_that_was_of_no_use_is_not_rented_again_for_want_of_another(studio: Studio) -> None:
    emulator = studio.emulator
    node = min(studio.octa.services.mr.available(), key=lambda machine: machine.node_id).node_id
    only = Requirements(node_id=node)

    def lose() -> None:
        for uuid in emulator.ledger(requests=False)["running_uuids"]:
            emulator.end_session(uuid, "Node is offline")

    terms = {"seconds_per_frame": 60.0, "max_machines": 1, "requirements": only, "max_cost_usd": 50.0}
    batch = studio.batch("1-60", frame_s=1.0, wait_for_machine_s=HOUR_S, **terms)
    hear = once("frame accepted", lose, at=1)
    paused = studio.run(batch, pause_s=PAUSE_S, on_event=hear)
    while paused.outcome is BatchOutcome.PAUSED and paused.sessions:
        paused = studio.run(batch, pause_s=PAUSE_S, on_event=hear)
    assert (paused.outcome, paused.sessions) == (BatchOutcome.PAUSED, ()), paused
    starts = studio.starts()
    for _ in range(2):
        assert studio.run(batch, pause_s=PAUSE_S).outcome is BatchOutcome.PAUSED
    assert studio.starts() == starts
    assert studio.nothing_runs()
