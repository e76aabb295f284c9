"""What life does to machines that render with Blender: real frames, by Blender's own code."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from octa_provider.batch.renderers.blender import blender
from octa_provider.emulator.container.hostile_frames import NAMES
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.render.containers import read_picture
from octa_provider.render.picture import BrokenPictureError
from tests.forked_python import run_python

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
    run_python([blender_python(), "-c", MAKE, path], check=True, capture_output=True, timeout=600)
    return path


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    """One emulator for all, with machines that have Blender."""
    with start_emulator(
        machines=3, room=8, start_delay_s=0.05, blender_python=blender_python(), quirks=False
    ) as running:
        yield running


class Machine:
    """A machine that renders the scene into `out`, and what is seen of it."""

    def __init__(self, emulator: EmulatorHandle, scene: Path, words: str, node_id: int) -> None:
        self.emulator = emulator
        command = f"blender -b {scene} -o $HOME/out/frame_#### {words}; echo ended with $?"
        order = {"id": 0, "node_id": node_id, "disk_size": 1, "image": "blender:4.5", "start_command": command}
        answer = emulator.request("POST", "/services/mr", json=[order]).json()
        self.uuid = str(answer[0]["uuid"])
        self.out = emulator.state / "sessions" / self.uuid / "out"

    def log(self) -> str:
        """What it printed."""
        return str(self.emulator.request("GET", f"/services/{self.uuid}/logs").json()["container"])

    def until(self, seen: Callable[[], Any]) -> None:
        """Wait for it."""
        deadline = time.monotonic() + 800
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

    def begin(words: str = "-a", node_id: int = 1001, **fault: Any) -> Machine:
        if fault:
            emulator.faults({"kind": "render", **fault})
        machines.append(Machine(emulator, scene, words, node_id))
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
    machine = render(node_id=1002, form="node_dies", after=1)
    machine.until(lambda: not emulator.ledger()["running"])
    assert [len(data) > 0 for data in machine.files().values()] == [True, False]
    assert json.dumps(emulator.ledger()["sessions"][-1]["termination_reason"]) == '"node offline"'


def stamp(machine: Machine, frame: int) -> Any:
    """What a frame's picture says of it."""
    return read_picture(machine.out / f"frame_{frame:04d}.png").stamp


def test_another_frame_s_picture_lies_under_this_frame_s_name(render: Callable[..., Machine]) -> None:
    machine = render(form="wrong_number", times=None)
    machine.ended()
    assert flaws(machine) == {}
    # Until there is a picture of another frame, the stamp alone is another frame's.
    assert [stamp(machine, frame).frame for frame in (1, 2)] == [2, 3]


def test_the_picture_of_a_wrong_number_is_that_of_a_frame_before(render: Callable[..., Machine]) -> None:
    machine = render(form="wrong_number", frame=3)
    log = machine.ended()
    files = machine.files()
    assert files[3] == files[2] != files[1]
    assert stamp(machine, 3).frame == 2
    assert f"Saved: '{machine.out}/frame_0003.png'" in log


def test_a_wrong_scene_is_a_whole_picture_that_says_so(render: Callable[..., Machine]) -> None:
    machine = render("-f 1,2", form="wrong_scene", frame=2)
    machine.ended()
    assert [stamp(machine, frame).scene for frame in (1, 2)] == ["Scene", "Another scene"]


def test_a_png_lies_under_the_name_of_an_exr(render: Callable[..., Machine]) -> None:
    machine = render("-F EXR -f 1,2", form="wrong_format", frame=2)
    machine.ended()
    pictures = [read_picture(machine.out / f"frame_000{frame}.exr") for frame in (1, 2)]
    assert [(picture.format, picture.width, picture.height) for picture in pictures] == [
        ("EXR", 32, 32),
        ("PNG", 32, 32),
    ]


def test_an_exr_says_a_wrong_number_and_a_longer_time(render: Callable[..., Machine], emulator: EmulatorHandle) -> None:
    emulator.faults({"kind": "render", "form": "slow", "factor": 30})
    machine = render("-F EXR -f 1", form="wrong_number")
    machine.ended()
    said = read_picture(machine.out / "frame_0001.exr").stamp
    assert said.frame == 2
    assert said.render_time_s is not None
    assert said.render_time_s >= 0.3


def test_a_black_exr_is_black(render: Callable[..., Machine]) -> None:
    machine = render("-F EXR -f 1", form="black")
    machine.ended()
    look = (
        "import bpy, os, sys; p = bpy.data.images.load(sys.argv[1]).pixels[:]; print(max(p[0::4] + p[1::4] + p[2::4]))"
    )
    command = [blender_python(), "-c", f"{look}; sys.stdout.flush(); os._exit(0)", machine.out / "frame_0001.exr"]
    assert run_python(command, capture_output=True, text=True, check=True, timeout=600).stdout == "0.0\n"


def test_a_process_that_takes_too_much_memory_is_killed_in_its_frame(render: Callable[..., Machine]) -> None:
    machine = render(form="killed", after=1)
    assert "ended with 137" in machine.ended()
    assert [len(data) > 0 for data in machine.files().values()] == [True, False]


def test_a_full_graphics_card_ends_blender_and_leaves_no_file_of_its_frame(render: Callable[..., Machine]) -> None:
    machine = render(form="out_of_memory", after=1)
    log = machine.ended()
    assert "Error: System is out of GPU and shared host memory" in log
    assert "ended with 1" in log
    assert list(machine.files()) == [1]


def test_the_log_has_the_form_of_blender_5(render: Callable[..., Machine]) -> None:
    machine = render("-f 1,2", form="log_of_5")
    log = machine.ended()
    lines = re.findall(r"^\d\d:\d\d\.\d\d\d  render           \| Saved: '(.*)'$", log, re.MULTILINE)
    assert lines == [f"{machine.out}/frame_000{frame}.png" for frame in (1, 2)]
    assert "Fra:" not in log
    assert "Blender quit" in log


def test_blender_hangs_with_all_of_its_files_there(render: Callable[..., Machine]) -> None:
    # A process that renders nothing, as one that looks at the scene, ends as ever.
    looking = render("--python-expr 'print(1)'", form="hangs")
    assert "ended with 0" in looking.ended()
    machine = render("-f 1,2")
    machine.until(lambda: "frame_0002.png" in machine.log())
    assert flaws(machine) == {}
    assert "quit" not in machine.log()


@pytest.mark.parametrize(
    ("form", "flaw"),
    [("hostile_size", "goes on past the end of its picture"), ("endless_file", "goes on past the end of its picture")],
)
def test_a_hostile_machine_has_files_without_an_end(render: Callable[..., Machine], form: str, flaw: str) -> None:
    machine = render("-f 1,2", form=form, frame=2)
    assert f"Saved: '{machine.out}/frame_0002.png'" in machine.ended()
    assert flaws(machine) == {2: flaw}


def test_a_hostile_machine_has_links_and_names(render: Callable[..., Machine], emulator: EmulatorHandle) -> None:
    emulator.faults({"kind": "render", "form": "hostile_names"})
    machine = render("-f 1", form="hostile_links")
    machine.ended()
    assert (machine.out / "frame_0001.png").readlink() == Path("/etc/passwd")
    assert {os.fsencode(path.name) for path in machine.out.iterdir()} >= set(NAMES)


def test_negative_frames_meet_faults_too(render: Callable[..., Machine]) -> None:
    machine = render("-s -2 -e -5 -a", form="cut", frame=-1)
    assert "ended with 0" in machine.ended()
    assert [path.name for path in machine.out.iterdir()] == ["frame_-0001.png"]
    assert f"Saved: '{machine.out}/frame_-0001.png'" in machine.log()
    with pytest.raises(BrokenPictureError):
        read_picture(machine.out / "frame_-0001.png")


def test_a_fault_meets_a_blender_that_has_begun_before(
    render: Callable[..., Machine], emulator: EmulatorHandle
) -> None:
    machine = render(form="slow", factor=20)
    machine.until(lambda: machine.out.is_dir() and machine.files())
    emulator.clear_faults()
    emulator.faults({"kind": "render", "form": "disk_full", "times": None})
    machine.ended()
    assert set(flaws(machine)) == {2, 3, 4}


def test_a_batch_s_process_meets_faults_and_its_log_says_so(render: Callable[..., Machine], scene: Path) -> None:
    renderer = blender(device="auto")
    script = renderer.process_script([1, 2, 3, 4], scene.name, device="OPTIX")
    prepare = f"mkdir -p scene out; cp {scene} scene; cd scene; export OUT=$HOME/out"
    words = f"-h >/dev/null; {prepare}; ({script}\n)"
    slow = render(words, form="cut", frame=2)
    log = slow.ended()
    assert "ended with 0" in log
    assert flaws(slow) == {2: "is cut off"}
    assert renderer.failure_of(log, 0) is None
    for form, kind in (("out_of_memory", "out of memory"), ("no_device", "no device")):
        broken = render(words, form=form)
        log = broken.ended()
        failure = renderer.failure_of(log, 1)
        assert "ended with 1" in log
        assert failure is not None
        assert failure.kind == kind
