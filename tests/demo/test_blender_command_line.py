"""From the quote to the video with real Blender: what a user types, and what is on the disk afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import pytest

from octa_provider.cli import main
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from tests.forked_python import run_python

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = REPOSITORY / "octa_provider" / "emulator" / "container" / "blender_command.py"


def blender_python() -> str:
    """The interpreter that has bpy: the one the Makefile names, else the one that it makes."""
    return os.environ.get("OCTA_EMULATOR_BLENDER_PYTHON") or str(REPOSITORY / ".venvs" / "blender" / "bin" / "python")


MAKE = """
import os, sys, bpy
scene = bpy.context.scene
scene.render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", 1
scene.render.resolution_x, scene.render.resolution_y = 48, 32
scene.frame_end = 6
cube = bpy.data.objects["Cube"]
for frame, turn in ((1, 0.0), (6, 1.5)):
    cube.rotation_euler = (0, 0, turn)
    cube.keyframe_insert("rotation_euler", frame=frame)
if len(sys.argv) > 2:
    image = bpy.data.images.new("rock", 4, 4)
    image.source, image.filepath = "FILE", "//rock.png"
    material = cube.data.materials[0]
    material.use_nodes = True
    material.node_tree.nodes.new("ShaderNodeTexImage").image = image
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1])
sys.stdout.flush()
os._exit(0)
"""


class Shown(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def shared() -> Iterator[EmulatorHandle]:
    with start_emulator(machines=3, start_delay_s=0.05, blender_python=blender_python(), quirks=False) as running:
        yield running


@pytest.fixture
def cli(
    shared: EmulatorHandle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Shown]:
    """Runs the command line in this process, with the emulator as the API."""
    for name, value in shared.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OCTA_SSH_KEY_FILE", str(shared.ssh_private_key))

    def run(*words: object) -> Shown:
        status = main([str(word) for word in words])
        return Shown(status, *capsys.readouterr())

    return run


@pytest.fixture
def blender(tmp_path: Path) -> Path:
    """A Blender on this computer."""
    path = tmp_path / "blender"
    path.write_text(f'#!/bin/sh\nexec {blender_python()} {COMMAND} "$@"\n')
    path.chmod(0o755)
    return path


def make(path: Path, *more: str) -> Path:
    path.parent.mkdir()
    run_python([blender_python(), "-c", MAKE, path, *more], check=True, capture_output=True, timeout=600)
    return path


def test_a_scene_is_quoted_rendered_and_shown(
    cli: Callable[..., Shown], shared: EmulatorHandle, blender: Path, tmp_path: Path
) -> None:
    scene, out = make(tmp_path / "shot" / "shot.blend"), tmp_path / "out"
    quote = cli("plan", scene, "--frames", "1-6", "--seconds-per-frame", "2", "--blender", blender)
    assert (quote.status, quote.out.splitlines()[0]) == (0, "6 frames"), quote.err
    assert shared.ledger()["sessions"] == []
    words = ("render", scene, "--output", out, "--seconds-per-frame", "2", "--max-machines", "2", "--device", "CPU")
    part = cli(*words, "--frames", "1-6x5", "--yes", "--poll", "0.3s")
    assert part.status == 0, part.out + part.err
    assert cli("frames", out).out.startswith("2 of 2 frames whole (1,6)")
    whole = cli(*words, "--frames", "1-6", "--yes", "--poll", "0.3s")
    assert whole.status == 0, whole.out + whole.err
    assert ", 4 rendered now by " in whole.out
    assert shared.ledger()["running"] == 0
    assert cli("frames", out, "--decode").status == 0
    assert cli("sheet", out).out == f"{out / 'sheet.png'}: 6 of 6 frames\n"
    assert cli("video", out, "--fps", "12").status == 0
    assert imageio_ffmpeg.count_frames_and_secs(str(out / "preview.mp4")) == (6, 0.5)


def test_a_texture_that_is_missing_is_named_before_and_costs_no_fleet(
    cli: Callable[..., Shown], shared: EmulatorHandle, blender: Path, tmp_path: Path
) -> None:
    scene, out = make(tmp_path / "shot" / "shot.blend", "broken"), tmp_path / "out"
    quote = cli("plan", scene, "--frames", "1-6", "--seconds-per-frame", "2", "--blender", blender)
    assert quote.status == 5
    assert "rock.png" in quote.err
    before = len(shared.ledger()["sessions"])
    words = ("--seconds-per-frame", "2", "--device", "CPU", "--yes", "--poll", "0.3s")
    shown = cli("render", scene, "--frames", "1-6", "--output", out, *words)
    assert shown.status == 5, shown.out + shown.err
    assert "rock.png" in shown.out
    ledger = shared.ledger()
    assert len(ledger["sessions"]) - before <= 2
    assert ledger["running"] == 0
