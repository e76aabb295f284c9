"""A frame that nobody renders whole is given up by name, and a scene that fails on two machines ends the batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchOutcome
from octa_provider.pictures import check_frames

if TYPE_CHECKING:
    from studio import Studio

COMMAND = "octa-fake-renderer --frames {frames} --output {output} --seconds 0.1"


def test_a_frame_that_is_bad_everywhere_is_tried_on_three_nodes_and_given_up_by_name(studio: Studio) -> None:
    studio.emulator.faults({"kind": "render", "form": "cut", "frame": 4, "times": None})
    batch = studio.batch("1-8", renderer=Renderer("frames", COMMAND, can_skip=True), seconds_per_frame=30.0)
    result = studio.run(batch)
    assert result.outcome is BatchOutcome.INCOMPLETE, result
    assert result.missing == "4"
    assert "cut off" in (result.failed or {})[4]
    assert [event.frame for event in studio.told("frame given up")] == [4]
    nodes = [event.node_id for event in studio.told("frame refused")]
    assert len(nodes) == len(set(nodes)) == 3
    assert check_frames(studio.output, [1, 2, 3, 5, 6, 7, 8]).whole
    assert json.loads((studio.output / "manifest.json").read_text())["whole"] is False
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()


def test_as_many_frames_as_allowed_may_be_given_up_and_the_others_are_rendered(studio: Studio) -> None:
    studio.emulator.faults({"kind": "render", "form": "cut", "frame": 2, "times": None})
    renderer = Renderer("frames", COMMAND, can_skip=True)
    result = studio.run(
        studio.batch("1-12", renderer=renderer, seconds_per_frame=30.0, max_failed_frames=1, tries_per_frame=2)
    )
    assert (result.outcome, result.missing, result.done) == (BatchOutcome.INCOMPLETE, "2", 11)


def test_the_same_error_on_two_nodes_is_the_scenes_and_costs_two_start_ups(studio: Studio) -> None:
    renderer = Renderer("frames", "sh -c 'echo no such camera: {frame} >&2; exit 3'")
    result = studio.run(studio.batch("1-8", renderer=renderer, seconds_per_frame=60.0, finish_within_s=600.0))
    assert result.outcome is BatchOutcome.SCENE_ERROR, result
    assert "no such camera" in result.message
    # Those that were planned may be rented by then, and no other.
    ended = {event.node_id for event in studio.told("machine ended") if "no such camera" in event.reason}
    assert len(ended) <= 2
    assert studio.nothing_runs()


def test_a_scene_that_fails_where_it_is_measured_costs_two_start_ups(studio: Studio) -> None:
    renderer = Renderer("frames", "sh -c 'echo no such camera: {frame} >&2; exit 3'")
    result = studio.run(studio.batch("1-8", renderer=renderer))
    assert result.outcome is BatchOutcome.SCENE_ERROR, result
    assert studio.starts() == 2
    assert studio.nothing_runs()
