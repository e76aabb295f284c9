"""Rows of the fault table: what happens to machines that render."""

from __future__ import annotations

from typing import Any

from octa_provider.batch.events import BatchEvent
from octa_provider.batch.result import BatchOutcome
from tests.chaos.blender_stage import FINISH_WITHIN_S
from tests.chaos.fault_ground import WHOLE, Ground
from tests.chaos.fault_row import Row, stolen_from
from tests.core.batch.run.batch_faults import FAULTS, Fault

__all__ = ["MACHINE_FAULTS", "machine_fault", "several_gpus", "slow_machine", "without_optix"]

#: By name.
MACHINE_FAULTS: dict[str, Fault] = {fault.name: fault for fault in FAULTS}


def machine_fault(ground: Ground, name: str) -> Row:
    """A fault of a machine, as the tests with a quick renderer have it too.

    Args:
        ground: where.
        name: one of `MACHINE_FAULTS`; what is in brackets behind it tells runs apart.
    """
    fault = MACHINE_FAULTS[name.partition(" (")[0]]
    ground.studio.emulator.faults(*fault.faults)
    seen: dict[str, Any] = {}
    own = {"format": "OPEN_EXR"} if fault.ending == "exr" else {}
    batch = ground.batch(**{**fault.options, "finish_within_s": FINISH_WITHIN_S}, blender=own)
    result = ground.run(batch, on_event=lambda event: fault.act(ground.studio, event, seen))
    outcomes = WHOLE if fault.outcome is BatchOutcome.WHOLE else (fault.outcome,)
    return ground.row(name, result, told=fault.told, outcomes=outcomes)


def without_optix(ground: Ground, name: str) -> Row:
    """OptiX is missing in the container, and CUDA works there.

    Args:
        ground: where.
        name: of the row.
    """
    ground.studio.emulator.faults({"kind": "render", "form": "no_device", "devices": ["OPTIX"], "times": None})
    return ground.row(name, ground.run(ground.batch()), told="CUDA is tried")


def slow_machine(ground: Ground, name: str) -> Row:
    """The first machine takes three times as long for each frame.

    Args:
        ground: where.
        name: of the row.
    """
    ground.studio.emulator.faults({"kind": "render", "form": "slow", "node_id": 1001, "factor": 3, "times": None})
    row = ground.row(name, ground.run(ground.batch()))
    row.notes["stolen"] = stolen_from(ground.studio, 1001)
    row.seen = f"its frames take longer; {row.notes['stolen']} of its share went to others"
    return row


def several_gpus(ground: Ground, name: str) -> Row:
    """Machines with two GPUs run two Blenders, each with its own; one machine goes while both render.

    Args:
        ground: where.
        name: of the row.
    """
    ground.studio.emulator.faults({"kind": "render", "form": "node_dies", "after": 5})
    most = 0

    def count(event: BatchEvent) -> None:
        nonlocal most
        most = max(most, event.progress.rendering)

    # Short frames: a card each.
    result = ground.run(ground.batch(seconds_per_frame=50.0, finish_within_s=500.0), on_event=count)
    row = ground.row(name, result, told="its session has ended")
    cards = {
        part.partition("=")[2].strip("\n'\"; ").split()[0]
        for script in ground.studio.emulator.state.glob("sessions/*/octa-batch/p/*/script")
        for part in script.read_text().splitlines()
        if "CUDA_VISIBLE_DEVICES=" in part
    }
    row.notes["cards"] = sorted(cards)
    row.seen = f"{row.seen}; cards {', '.join(sorted(cards))}"
    if len(cards) < 2:
        row.wrong.append(f"processes used the cards {cards}")
    return row
