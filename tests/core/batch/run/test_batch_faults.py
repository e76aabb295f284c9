"""Whatever happens to its machines, a batch loses no frame, leaves no session, and says what it saw."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from batch_faults import FAULTS, Fault
from studio import Studio

from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.pictures import check_frames

FRAMES = "1-16"
#: To have something happen while the machines render.
MOST_TRIES = 10
#: Real seconds of a frame and of a start, so that there is a middle to be hit in.
COMMAND = (
    "octa-fake-renderer --frames {frames} --output {output} --seconds 0.25 --load-seconds 0.3 --device OPTIX --name"
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
def test_no_fault_of_a_machine_loses_a_frame(studio: Studio, fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="octa_provider.batch")
    seen: dict[str, Any] = {}
    name = f"frame_{{frame:04d}}.{fault.ending}"
    renderer = Renderer(
        "frames", [*COMMAND.split(), name.replace("{", "{{").replace("}", "}}")], files=(name,), can_skip=True
    )
    options = {"seconds_per_frame": 30.0, "finish_within_s": 500.0, "max_machines": 3, **fault.options}
    batch = studio.batch(FRAMES, renderer=renderer, ready_timeout_s=120.0, **options)
    studio.emulator.faults(*fault.faults)
    for _ in range(MOST_TRIES if fault.is_done_meanwhile else 1):
        result = studio.run(batch, on_event=lambda event: fault.act(studio, event, seen))
        told = [f"{event.kind}: {event.reason}" for event in studio.events if event.reason]
        words = " ".join([*(event.reason for event in studio.events), result.message, caplog.text])
        if re.search(fault.told, words):
            break
        # A busy computer has looked so late that every frame was there already.
        seen.clear()
        studio.begin_anew()
    assert result.outcome in (fault.outcome, *(("late",) if fault.outcome == "whole" else ())), (result, told)
    assert check_frames(studio.output, FRAMES, patterns=name).whole
    assert re.search(fault.told, words), told
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()
