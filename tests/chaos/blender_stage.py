"""A studio whose machines run a real Blender, and scenes for it that cost no processor."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from octa_provider.batch.batch import Batch
from octa_provider.batch.renderers.blender import blender
from octa_provider.batch.renderers.blender_renderer import BlenderRenderer
from octa_provider.batch.run.parts import Pacing
from tests.core.batch.run.studio import Studio, open_studio

__all__ = [
    "BLENDER_PYTHON",
    "FINISH_WITHIN_S",
    "FRAMES",
    "PACING",
    "SPEED",
    "Scenes",
    "blender_batch",
    "make_scenes",
    "open_stage",
]

ROOT = Path(__file__).resolve().parents[2]
#: An interpreter that has `bpy`.
BLENDER_PYTHON = ROOT / ".venvs/blender/bin/python"
#: Seconds that pass in a real one.
SPEED = 10.0
PACING = Pacing(poll_s=3.0, quiet_s=3.0, lost_after_s=200.0, settle_s=30.0)
FRAMES = "1-16"
#: For which three machines are planned.
FINISH_WITHIN_S = 560.0
#: Real seconds that a frame takes; a broken machine's black one takes none.
FRAME_S = 2.5

# A heavy scene's frame takes a while. This one takes it asleep, so that many machines fit on one computer.
_HEAVY = """
import time
import bpy

@bpy.app.handlers.persistent
def take_a_while(scene, *_):
    if scene.cycles.film_exposure:
        time.sleep({seconds})

bpy.app.handlers.render_pre.append(take_a_while)
"""


class Scenes:
    """Scenes on this computer.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def whole(self) -> Path:
        """The folder of a scene that can be rendered."""
        return self.folder / "whole"

    def named(self, name: str) -> Path:
        """The folder of one of `make_broken_scenes.BROKEN`."""
        return self.folder / name

    def script(self, name: str) -> Path:
        """A Python file that Blender is to run: `heavy`, or `wrong`, which raises."""
        return self.folder / f"{name}.py"


def make_scenes(
    folder: Path, *, frames: int = 16, size: tuple[int, int] = (64, 36), samples: int = 1, frame_s: float = FRAME_S
) -> Scenes:
    """Make the scenes, with a real Blender.

    Args:
        folder: where to; an empty one.
        frames: length of the animation.
        size: width and height in pixels.
        samples: light paths a pixel.
        frame_s: real seconds that a frame takes asleep.
    """
    scenes = Scenes(folder)
    scenes.whole.mkdir(parents=True)
    shot = scenes.whole / "shot.blend"
    _run(ROOT / "demo/make_scene.py", shot, "--frames", frames, "--size", *size, "--samples", samples)
    _run(ROOT / "tests/chaos/make_broken_scenes.py", shot, folder)
    scenes.script("heavy").write_text(_HEAVY.format(seconds=frame_s))
    scenes.script("wrong").write_text("import bpy\nbpy.data.objects['Nobody'].hide_render = True\n")
    return scenes


def _run(program: Path, *arguments: object) -> None:
    command = [str(BLENDER_PYTHON), str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{program.name} failed: {done.stdout}{done.stderr}")


def blender_batch(studio: Studio, scenes: Scenes, **options: Any) -> Batch:
    """A batch for which three machines are planned.

    Args:
        studio: whose.
        scenes: those of `make_scenes`.
        options: of the batch, and `blender`: those of the renderer.
    """
    own = options.pop("blender", {})
    renderer: BlenderRenderer = blender(**{"python": [scenes.script("heavy")], **own})
    usual = {
        "scene": scenes.whole,
        "main": "shot.blend",
        "max_machines": 3,
        # Above a minute, a machine's cards render one frame together: one Blender a machine.
        "seconds_per_frame": 64.0,
        "finish_within_s": FINISH_WITHIN_S,
        "ready_timeout_s": 120.0,
    }
    frames = options.pop("frames", FRAMES)
    return studio.batch(frames, renderer=renderer, **{**usual, **options})


@contextmanager
def open_stage(folder: Path, **options: Any) -> Iterator[Studio]:
    """A studio with an emulator of its own, whose machines have a Blender.

    Args:
        folder: for its files; an empty one.
        options: of the emulator.
    """
    # Machines of about the same speed for their price, so that what a fault costs can be compared.
    settings = {"blender_python": str(BLENDER_PYTHON), "quirks": False, "gpus": 1, **options}
    with open_studio(folder, speed=SPEED, **settings) as studio:
        yield studio
