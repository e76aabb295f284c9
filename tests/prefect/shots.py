"""Shots for the tests of batches: a scene that a small script renders, and terms that take several machines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.core.batch.run.quick_renderer import command, write_scene

FRAMES = "1-24"
#: A plan that keeps this for all frames takes seven machines of the tests' market, two of them at once; the script is
#: far quicker than it expects, so that they are enough.
SEVERAL_MACHINES = {"seconds_per_frame": 300.0, "finish_within_s": 1800.0, "max_machines": 8}
#: For a few frames: what costs least, on one machine.
ONE_MACHINE = {"seconds_per_frame": 1.0, "finish_within_s": None}


#: In front of a scene's script: the first of its frames go on at once, the others when there is `go-on`.
GATE = """
import os, time
gate = {gate!r}
for number in range({first}):
    try:
        os.mkdir(os.path.join(gate, str(number)))
        break
    except FileExistsError:
        pass
else:
    while not os.path.exists(os.path.join(gate, "go-on")):
        time.sleep(0.1)
"""


def go_on(folder: Path) -> None:
    """Let all frames of a shot be rendered whose first few were."""
    (folder / "gate" / "go-on").touch()


def shot(
    folder: Path, frames: str = FRAMES, *, frame_s: float = 0.0, first: int | None = None, **options: Any
) -> dict[str, Any]:
    """The arguments of a flow for a shot whose frames take so many seconds each; its output is `out` in the folder.

    Only the first so many are rendered until `go_on`, so that who looks meanwhile finds it unfinished.
    """
    scene = write_scene(folder / "scene")
    if first is not None:
        (folder / "gate").mkdir(exist_ok=True)
        gated = GATE.format(gate=str(folder / "gate"), first=first) + (scene / "shot.py").read_text()
        (scene / "shot.py").write_text(gated)
    return {
        "scene": str(scene),
        "main": "shot.py",
        "frames": frames,
        "output": str(folder / "out"),
        "renderer": {"image": "python:3.12", "command": command(frame_s)},
        "poll_s": 0.3,
        **SEVERAL_MACHINES,
        **options,
    }


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").glob("*.png") if path.name != "sheet.png")


def named(numbers: Iterable[int]) -> list[str]:
    return [f"frame_{number:04d}.png" for number in numbers]
