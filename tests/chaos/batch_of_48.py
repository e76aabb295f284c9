"""A batch of 48 real frames on four emulated machines: one is slow, and the platform ends another in the middle.

`python -m tests.chaos.batch_of_48 [--keep FOLDER]`. Every frame must be there and whole, nothing may run at the end,
and the bill must be the ledger's to the wei. The film's contact sheet is made of what came.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from octa_provider.batch.events import BatchEvent
from octa_provider.batch.film.sheet import contact_sheet
from octa_provider.batch.result import BatchResult
from octa_provider.pictures import check_frames
from tests.chaos.blender_stage import PACING, blender_batch, make_scenes, open_stage
from tests.chaos.fault_row import begun_twice, stolen_from
from tests.core.batch.run.studio import Studio

FRAMES = "1-48"
MACHINES = 4
#: For which four machines are planned.
FINISH_WITHIN_S = 600.0
SLOW_NODE = 1001
TIMES_SLOWER = 4
#: So many frames are there when a machine is ended.
IN_THE_MIDDLE = 12


class Killer:
    """Has the platform end a machine in the middle: one that renders, and is not the slow one."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.killed: int | None = None

    def __call__(self, event: BatchEvent) -> None:
        """Told each event of the batch."""
        is_time = event.kind == "frame accepted" and event.progress.done >= IN_THE_MIDDLE
        if self.killed is None and is_time and event.node_id != SLOW_NODE and event.progress.machines == MACHINES:
            ledger = self._studio.emulator.ledger(requests=False)
            uuid = next(s["uuid"] for s in ledger["sessions"] if s["node_id"] == event.node_id and not s["stopped_ms"])
            self._studio.emulator.end_session(uuid, "Node is offline")
            self.killed = event.node_id


def broken_promises(studio: Studio, result: BatchResult, killer: Killer) -> list[str]:
    """What did not hold, each as one sentence.

    Args:
        studio: where it was rendered.
        result: how it ended.
        killer: what happened to a machine.
    """
    ledger = studio.emulator.ledger(requests=False)
    wrong = []
    if not result.is_whole:
        wrong.append(f"it ended as {result.outcome.value}: {result.message}")
    broken = check_frames(studio.output, FRAMES).broken_frames
    if broken:
        wrong.append(f"frames are not whole: {broken}")
    if ledger["running"]:
        wrong.append(f"{ledger['running']} sessions run")
    if result.cost_wei != ledger["billed_wei"]:
        wrong.append(f"the batch says {result.cost_wei} wei, the ledger {ledger['billed_wei']}")
    if result.machines < MACHINES:
        wrong.append(f"only {result.machines} machines were rented")
    if killer.killed is None:
        wrong.append("no machine was killed")
    if not any("its session has ended" in event.reason for event in studio.told("machine ended")):
        wrong.append("nobody told that a session has ended")
    return wrong


def main() -> int:
    """Render it, and tell what became of it; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.batch_of_48")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="an empty folder for the frames and their sheet")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="octa-48-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        scenes = make_scenes(folder / "scenes", frames=48, size=(128, 72), samples=4, frame_s=3.0)
        with open_stage(options.keep or folder / "studio", gpus=None) as studio:
            studio.emulator.faults(
                {"kind": "render", "form": "slow", "node_id": SLOW_NODE, "factor": TIMES_SLOWER, "times": None}
            )
            killer = Killer(studio)
            batch = blender_batch(studio, scenes, frames=FRAMES, max_machines=MACHINES, finish_within_s=FINISH_WITHIN_S)
            result = studio.run(batch, pacing=PACING, on_event=killer)
            sheet = contact_sheet(studio.output, width=160)
            made = {event.node_id: 0 for event in studio.told("machine rented")}
            for event in studio.told("frame accepted"):
                made[event.node_id] = made.get(event.node_id, 0) + 1
            wrong = broken_promises(studio, result, killer)
            print(
                f"outcome {result.outcome.value}, {result.done} of {result.frames} frames, {result.machines} machines"
            )
            print("frames by node: " + ", ".join(f"{node} {count}" for node, count in sorted(made.items(), key=str)))
            print(f"ended by the platform: node {killer.killed}; slow: node {SLOW_NODE}, {TIMES_SLOWER} x")
            print(f"taken over from the slow one: {stolen_from(studio, SLOW_NODE)} of the frames it had been given")
            print(f"begun twice: {begun_twice(studio)} frames; charged {result.cost_wei} wei, as the ledger says")
            print(f"contact sheet: {sheet}")
    for one in wrong:
        print(f"!! {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
