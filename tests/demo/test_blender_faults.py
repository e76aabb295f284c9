"""What life does to machines that render with Blender: real frames, by Blender's own code."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.render.containers import read_picture
from octa_provider.render.picture import BrokenPictureError

REPOSITORY = Path(__file__).resolve().parents[2]


def blender_python() -> str:
    """The interpreter that has bpy: the one the Makefile names, else the one that it makes."""
    return os.environ.get("OCTA_EMULATOR_BLENDER_PYTHON") or str(REPOSITORY / ".venvs" / "blender" / "bin" / "python")


MAKE = """
import os, sys, bpy
scene = bpy.context.scene
scene.render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", 1
scene.render.resolution_x = scene.render.resolution_y = 32
scene.render.use_overwrite, scene.render.use_placeholder = False, True
scene.frame_end = 4
# Each frame is another one: a light that goes round.
light = bpy.data.objects["Light"]
for frame in (1, 4):
    light.location = (4, frame, 6)
    light.keyframe_insert("location", frame=frame)
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1])
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of 32x32 pixels that do not overwrite and lay an empty file when they begin."""
    path = tmp_path_factory.mktemp("scene") / "scene.blend"
    subprocess.run([blender_python(), "-c", MAKE, path], check=True, capture_output=True, timeout=110)
    return path


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    """One emulator for all, with machines that have Blender."""
    with start_emulator(machines=3, start_delay_s=0.05, blender_python=blender_python(), quirks=False) as running:
        yield running


class Machine:
    """A machine that renders the scene into `out`, and what is seen of it."""

    def __init__(self, emulator: EmulatorHandle, scene: Path, words: str) -> None:
        self.emulator = emulator
        command = f"blender -b {scene} -o $HOME/out/frame_#### {words}; echo ended with $?"
        order = {"id": 0, "node_id": 1001, "disk_size": 1, "image": "blender:4.5", "start_command": command}
        answer = emulator.request("POST", "/services/mr", json=[order]).json()
        self.uuid = str(answer[0]["uuid"])
        self.out = emulator.state / "sessions" / self.uuid / "out"

    def log(self) -> str:
        """What it printed."""
        return str(self.emulator.request("GET", f"/services/{self.uuid}/logs").json()["container"])

    def until(self, seen: Callable[[], Any]) -> None:
        """Wait for it."""
        deadline = time.monotonic() + 200
        while not seen():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def ended(self) -> str:
        """The log, when Blender has ended."""
        self.until(lambda: "ended with" in self.log())
        return self.log()

    def files(self) -> dict[int, bytes]:
        """Its frames' files."""
        return {int(path.stem[-4:]): path.read_bytes() for path in sorted(self.out.iterdir())}


@pytest.fixture
def render(emulator: EmulatorHandle, scene: Path) -> Iterator[Callable[..., Machine]]:
    """Put a fault in force and have a machine render; afterwards both are gone."""
    machines = []

    def begin(words: str = "-a", **fault: Any) -> Machine:
        if fault:
            emulator.faults({"kind": "render", **fault})
        machines.append(Machine(emulator, scene, words))
        return machines[-1]

    yield begin
    emulator.clear_faults()
    for machine in machines:
        emulator.request("POST", f"/services/{machine.uuid}/stop", json={})


def flaws(machine: Machine) -> dict[int, str]:
    """What is wrong with its frames."""
    told = {}
    for path in sorted(machine.out.iterdir()):
        try:
            read_picture(path)
        except BrokenPictureError as error:
            told[int(path.stem[-4:])] = error.flaw
    return told


def colours(path: Path) -> Any:
    """The lowest and the highest value of each colour."""
    with Image.open(path) as picture:
        return picture.convert("RGB").getextrema()


def test_without_a_fault_blender_renders_as_ever(render: Callable[..., Machine]) -> None:
    machine = render("-f 1,3")
    assert "ended with 0" in machine.ended()
    assert sorted(machine.files()) == [1, 3]
    assert flaws(machine) == {}


def test_a_cut_frame_is_told_as_saved(render: Callable[..., Machine]) -> None:
    machine = render(form="cut", after=1)
    log = machine.ended()
    assert flaws(machine) == {2: "is cut off"}
    assert [f"Saved: '{machine.out}/frame_000{frame}.png'" in log for frame in (1, 2, 3, 4)] == [True] * 4
    assert "ended with 0" in log


def test_a_full_disk_looks_like_success(render: Callable[..., Machine]) -> None:
    machine = render(form="disk_full", after=1, times=None)
    log = machine.ended()
    assert flaws(machine) == {2: "is cut off", 3: "is empty", 4: "is empty"}
    assert (log.count("Saved:"), log.count("ended with 0")) == (4, 1)


def test_black_frames_are_whole(render: Callable[..., Machine]) -> None:
    machine = render(form="black", frame=2)
    machine.ended()
    assert flaws(machine) == {}
    assert colours(machine.out / "frame_0002.png") == ((0, 0),) * 3
    assert colours(machine.out / "frame_0003.png") != ((0, 0),) * 3


def test_slow_frames_take_so_many_times_as_long(render: Callable[..., Machine]) -> None:
    machine = render("-f 1..2", form="slow", factor=30, frame=2)
    machine.ended()
    first, second = (read_picture(machine.out / f"frame_000{frame}.png").stamp.render_time_s for frame in (1, 2))
    assert second is not None
    assert first is not None
    assert second >= 0.3


@pytest.mark.parametrize("device", ["OPTIX", "CUDA"])
def test_a_machine_may_have_no_device(render: Callable[..., Machine], device: str) -> None:
    fine = render(f"-f 1 -- --cycles-device {device}")
    assert "ended with 0" in fine.ended()
    assert list(fine.files()) == [1]
    broken = render(f"-f 1 -- --cycles-device {device}", form="no_device", devices=[device])
    assert "Found no Cycles device of the specified type" in broken.ended()
    assert "ended with 1" in broken.log()


def test_a_machine_may_lack_one_device_alone(render: Callable[..., Machine]) -> None:
    machine = render("-f 1 -- --cycles-device CUDA", form="no_device", devices=["OPTIX"], times=None)
    assert "ended with 0" in machine.ended()


def test_a_node_dies_while_it_renders_a_frame(render: Callable[..., Machine], emulator: EmulatorHandle) -> None:
    machine = render(form="node_dies", after=1)
    machine.until(lambda: not emulator.ledger()["running"])
    assert [len(data) > 0 for data in machine.files().values()] == [True, False]
    assert json.dumps(emulator.ledger()["sessions"][-1]["termination_reason"]) == '"node offline"'
