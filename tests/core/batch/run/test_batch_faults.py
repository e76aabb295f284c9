"""Whatever happens to its machines, a batch loses no frame, leaves no session, and says what it saw."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from batch_faults import FAULTS, Fault
from studio import Studio

from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchOutcome
from octa_provider.pictures import check_frames

FRAMES = "1-16"
#: Real seconds of a frame and of a start, so that there is a middle to be hit in.
COMMAND = (
    "octa-fake-renderer --frames {frames} --output {output} --seconds 0.25 --load-seconds 0.3 --device OPTIX --name"
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
def test_no_fault_of_a_machine_loses_a_frame(studio: Studio, fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="octa_provider.batch")
    studio.emulator.faults(*fault.faults)
    seen: dict[str, Any] = {}
    name = f"frame_{{frame:04d}}.{fault.ending}"
    renderer = Renderer(
        "frames", [*COMMAND.split(), name.replace("{", "{{").replace("}", "}}")], files=(name,), can_skip=True
    )
    options = {"seconds_per_frame": 30.0, "finish_within_s": 500.0, "max_machines": 3, **fault.options}
    batch = studio.batch(FRAMES, renderer=renderer, ready_timeout_s=120.0, **options)
    reasons: list[str] = []
    for _ in range(10):
        result = studio.run(batch, on_event=lambda event: fault.act(studio, event, seen))
        reasons += [*(event.reason for event in studio.events), result.message]
        # A busy computer's seconds can spend the plan's most: then it is run again, as its message says.
        if result.outcome is not BatchOutcome.OVER_BUDGET:
            break
    told = [reason for reason in reasons if reason]
    words = " ".join([*reasons, caplog.text])
    assert result.outcome in (fault.outcome, *(("late",) if fault.outcome == "whole" else ())), (result, told)
    assert check_frames(studio.output, FRAMES, patterns=name).whole
    assert re.search(fault.told, words), told
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()
