"""A renderer that says all is well, and has written nothing whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.batch.renderers.renderer import Renderer

if TYPE_CHECKING:
    from studio import Studio

COMMAND = "octa-fake-renderer --frames {frames} --output {output} --seconds 0.05"


def test_a_machine_that_writes_nothing_whole_renders_for_one_round_and_no_more(studio: Studio) -> None:
    renderer = Renderer("frames", COMMAND, can_skip=True)
    # Long frames: one process a machine.
    batch = studio.batch("1-8", renderer=renderer, seconds_per_frame=64.0, max_machines=1)
    plan = studio.octa.batches.plan(batch)
    assert plan.chosen is not None
    node_id = plan.chosen.machines[0].estimate.node_id
    studio.emulator.faults({"kind": "render", "form": "disk_full", "node_id": node_id, "after": 2, "times": None})
    result = studio.run(batch)
    assert result.is_whole, result
    first = studio.told("machine rented")[0]
    assert first.node_id == node_id
    processes = studio.emulator.state / "sessions" / str(first.uuid) / "octa-batch/p"
    assert [path.name for path in processes.glob("[0-9]*")] == ["1"]
    refused = {event.frame: event.reason for event in studio.told("frame refused")}
    assert refused.pop(3) == "frame_0003.png is cut off"
    assert refused == dict.fromkeys(range(4, 9), "was not rendered, although the renderer said it was")
