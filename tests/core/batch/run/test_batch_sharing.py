"""Machines share a batch: what a killed run has left is gone on with, and a slow machine's frames go to others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.machine.scripts import stay_command
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchOutcome
from octa_provider.market.request import MachineRequest
from octa_provider.pictures import check_frames

if TYPE_CHECKING:
    from studio import Studio

COMMAND = "octa-fake-renderer --frames {frames} --output {output} --seconds 0.3"


def left_by_an_earlier_run(studio: Studio, number: int) -> str:
    """A machine of the batch that nobody looks after; returns its session."""
    batch = studio.batch("1-6", renderer=Renderer("frames", COMMAND, can_skip=True))
    fingerprint = fingerprint_of(batch.scene_path, batch.main_file, batch.renderer)
    rental = studio.octa.rentals.start(
        MachineRequest(image="frames", start_command=stay_command()),
        key=f"test/batch/batch/{fingerprint[:8]}/m{number}",
        fingerprint=fingerprint,
    )
    return rental.uuid


def test_a_machine_that_an_earlier_run_has_left_renders_on_and_no_other_is_rented(studio: Studio) -> None:
    uuid = left_by_an_earlier_run(studio, 1)
    renderer = Renderer("frames", COMMAND, can_skip=True)
    result = studio.run(studio.batch("1-6", renderer=renderer, seconds_per_frame=60.0, max_machines=1))
    assert result.outcome is BatchOutcome.WHOLE, result
    assert studio.starts() == 1
    assert {event.uuid for event in studio.told("machine ended")} == {uuid}
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()


def test_machines_beyond_the_most_that_are_allowed_are_stopped(studio: Studio) -> None:
    left = {left_by_an_earlier_run(studio, number) for number in (1, 2)}
    renderer = Renderer("frames", COMMAND, can_skip=True)
    result = studio.run(studio.batch("1-6", renderer=renderer, seconds_per_frame=60.0, max_machines=1))
    assert result.outcome is BatchOutcome.WHOLE, result
    assert studio.starts() == len(left)
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()


def test_what_is_left_of_a_finished_batch_is_stopped(studio: Studio) -> None:
    renderer = Renderer("frames", COMMAND, can_skip=True)
    batch = studio.batch("1-6", renderer=renderer, seconds_per_frame=60.0)
    assert studio.run(batch).outcome is BatchOutcome.WHOLE
    left_by_an_earlier_run(studio, 50)
    assert studio.run(batch).outcome is BatchOutcome.WHOLE
    assert studio.nothing_runs()


def test_the_frames_of_a_slow_machine_go_to_a_faster_one(studio: Studio) -> None:
    slow, fast = (studio.octa.services.session(left_by_an_earlier_run(studio, n)).info().node_id for n in (1, 2))
    studio.emulator.faults({"kind": "render", "form": "slow", "node_id": slow, "factor": 12, "times": None})
    renderer = Renderer("frames", COMMAND, can_skip=True)
    result = studio.run(studio.batch("1-24", renderer=renderer, seconds_per_frame=30.0, max_machines=2))
    assert result.outcome is BatchOutcome.WHOLE, result
    assert check_frames(studio.output, "1-24").whole
    came = Counter(event.node_id for event in studio.told("frame accepted"))
    # Both were thought to be alike, and had half of them each.
    assert came[fast] > 12 > came[slow], came
    assert studio.nothing_runs()
