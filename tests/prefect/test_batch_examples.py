"""The examples that render batches: each does on emulated machines, against a real server, what it says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import BLENDER_PYTHON
from examples import example
from flow_process import FlowProcesses
from prefect_server import PrefectServer
from renting import Renting
from shots import ONE_MACHINE, go_on, named, pictures, shot
from waiting_for import wait_for

from octa_provider.pictures import check_frames
from prefect_blocks.namespace import namespace_here

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("server")]

ROOT = Path(__file__).parents[2]
SIZE = (64, 36)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's scene, as small as it gets."""
    path = tmp_path_factory.mktemp("scene") / "scene.blend"
    assert BLENDER_PYTHON.exists(), "Blender's environment is missing: run `make blender`"
    size = ["--frames", "6", "--size", *map(str, SIZE), "--samples", "1"]
    script = ROOT / "demo" / "make_scene.py"
    subprocess.run([BLENDER_PYTHON, script, path, *size], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def still(scene: Path) -> Path:
    """A sphere before a wall of the world's colour: nothing in it moves."""
    path = scene.with_name("still.blend")
    script = (
        "import bpy, sys; bpy.ops.wm.read_factory_settings(use_empty=True); scene = bpy.context.scene; "
        "scene.world = bpy.data.worlds.new('World'); scene.world.use_nodes = False; "
        "camera = bpy.data.objects.new('Camera', bpy.data.cameras.new('Camera')); "
        "scene.collection.objects.link(camera); "
        "scene.camera = camera; scene.render.engine = 'CYCLES'; scene.cycles.samples = 1; "
        "scene.render.resolution_x, scene.render.resolution_y = 32, 18; "
        "bpy.ops.mesh.primitive_uv_sphere_add(radius=0.4, location=(0, 0, -4)); "
        "bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])"
    )
    subprocess.run([BLENDER_PYTHON, "-c", script, path], check=True, capture_output=True)
    return path


def more(given: dict[str, Any]) -> dict[str, Any]:
    """What a shot's arguments leave for an example's `more`."""
    return {name: value for name, value in given.items() if name not in ("scene", "frames", "output")}


def test_render_animation(renting: Renting, scene: Path, tmp_path: Path) -> None:
    totals = example("render_animation").render_animation(str(scene), str(tmp_path), frames="1-5", samples=1)
    assert check_frames(tmp_path, range(1, 6), patterns=("frame_####.png",)).whole
    assert len({(tmp_path / name).read_bytes() for name in named(range(1, 6))}) == 5
    assert int(totals["cost_wei"]) == sum(session["charge_wei"] for session in renting.sessions)
    # The next run has nothing to do.
    count = len(renting.sessions)
    again = example("render_animation").render_animation(str(scene), str(tmp_path), frames="1-5", samples=1)
    assert (again["outcome"], again["rendered"], len(renting.sessions)) == ("whole", 0, count)


class Approving:
    """The example as a deployed flow run, and somebody who answers its question by the API."""

    def __init__(
        self,
        server: PrefectServer,
        flows: FlowProcesses,
        folder: Path,
        *,
        first: int | None = None,
        **options: Any,
    ) -> None:
        self.server, self.flows, self.folder = server, flows, folder
        given = shot(folder, "1-6", first=first, **ONE_MACHINE)
        parameters = {"more": more(given), **{name: given[name] for name in ("scene", "frames", "output")}}
        entrypoint = str(ROOT / "dags_examples" / "prefect" / "quote_approve_render.py") + ":quote_approve_render"
        self.run = flows.new_run_of("quote_approve_render", entrypoint, {**parameters, **options})
        self.process = flows.engine(self.run)

    def wait_for_the_question(self) -> str:
        """What is asked. Prefect calls a run paused before that is there, and refuses every answer until then."""
        self.server.wait_for_state(self.run, "Paused")
        keys = self.server.flow_run(self.run)["state"]["state_details"]["run_input_keyset"]
        inputs = f"/flow_runs/{self.run}/input/filter"
        (question,) = wait_for(lambda: self.server.post(inputs, prefix=keys["description"]), "it asks")
        return str(question["value"])

    def answer(self, **values: Any) -> None:
        result = self.server.post(f"/flow_runs/{self.run}/resume", run_input=values)
        assert result["status"] == "ACCEPT", result

    def try_again(self) -> None:
        """Kill -9, what tells Prefect of it, and "Retry"."""
        self.process.kill()
        for state in ({"type": "CRASHED"}, {"type": "SCHEDULED", "name": "AwaitingRetry"}):
            self.server.post(f"/flow_runs/{self.run}/set_state", state=state, force=False)
        self.process = self.flows.engine(self.run)

    def end(self) -> str:
        assert self.process.wait() == 0, self.process.output
        return self.server.state_of(self.run)


def test_quote_approve_render(server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path) -> None:
    asked = Approving(server, flows, tmp_path, seconds_per_frame=1.0)
    question = asked.wait_for_the_question()
    assert renting.sessions == [], "nothing is rented before the answer"
    assert "6 frames on 1 machine (cheapest)" in question
    assert "| stopped at |" in question, "the table of the quote is in the question"
    (plan,) = server.post("/flow_runs/filter", flow_runs={"parent_flow_run_id": {"any_": [asked.run]}})
    assert [one["key"] for one in server.artifacts_of(plan["id"])] == ["octa-render-quote"]
    asked.answer(approved=True)
    assert asked.end() == "Completed"
    assert pictures(tmp_path) == named(range(1, 7))
    bill = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert int(bill["cost_wei"]) == sum(session["charge_wei"] for session in renting.sessions)


def test_quote_approve_render_that_is_not_approved(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    asked = Approving(server, flows, tmp_path, seconds_per_frame=1.0)
    asked.wait_for_the_question()
    asked.answer(approved=False)
    assert asked.end() == "Completed"
    assert renting.sessions == []
    assert pictures(tmp_path) == []


def test_quote_approve_render_measures_first(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    """Nothing tells what a frame takes: a machine renders three, which are kept, and is stopped before it asks."""
    asked = Approving(
        server, flows, tmp_path, more=more(shot(tmp_path, finish_within_s=None)) | {"seconds_per_frame": None}
    )
    asked.wait_for_the_question()
    assert pictures(tmp_path) == named((1, 4, 6))
    assert len(renting.sessions) == 1
    assert renting.running() == []
    asked.answer(approved=True)
    assert asked.end() == "Completed"
    assert pictures(tmp_path) == named(range(1, 7))


def test_quote_approve_render_killed_while_it_waits_and_after_the_answer(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    """Each try asks, about what is missing then; nothing is rented without an answer, and nothing rendered twice."""
    asked = Approving(server, flows, tmp_path, seconds_per_frame=1.0, first=3)
    asked.wait_for_the_question()
    asked.try_again()
    asked.wait_for_the_question()
    asked.answer(approved=True)
    wait_for(lambda: len(pictures(tmp_path)) >= 2, "it renders")
    asked.try_again()
    asked.wait_for_the_question()
    before = {name: (tmp_path / "out" / name).stat().st_ino for name in pictures(tmp_path)}
    go_on(tmp_path)
    asked.answer(approved=True)
    assert asked.end() == "Completed"
    assert pictures(tmp_path) == named(range(1, 7))
    assert {name: (tmp_path / "out" / name).stat().st_ino for name in before} == before
    assert renting.running() == []


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Three scenes of which the second can't be rendered."""
    folder = tmp_path / "scenes"
    source = Path(shot(tmp_path)["scene"]) / "shot.py"
    folder.mkdir()
    for name in ("a", "c"):
        (folder / f"{name}.py").write_text(source.read_text() + f"# {name}\n")
    (folder / "b.py").write_text("raise SystemExit('no such camera')\n")
    return folder


def test_nightly_scenes(renting: Renting, scenes: Path, tmp_path: Path) -> None:
    given = more(shot(tmp_path, **ONE_MACHINE)) | {"main": ""}
    night = example("nightly_scenes").nightly_scenes
    with pytest.raises(RuntimeError, match=r"not whole: b\.py"):
        night(str(scenes), str(tmp_path), frames="1-4", budget_usd=5.0, pattern="*.py", more=given)
    for name in ("a", "c"):
        assert check_frames(tmp_path / name, range(1, 5), patterns=("frame_####.png",)).whole
    assert renting.running() == []
    charged = sum(session["charge_wei"] for session in renting.sessions)
    # The next night: b was mended, and the others cost nothing.
    (scenes / "b.py").write_text((scenes / "a.py").read_text() + "# b\n")
    given["on_changed"] = "replace"
    came_to = night(str(scenes), str(tmp_path), frames="1-4", budget_usd=5.0, pattern="*.py", more=given)
    assert {name: totals["rendered"] for name, totals in came_to.items()} == {"a.py": 0, "b.py": 4, "c.py": 0}
    assert sum(session["charge_wei"] for session in renting.sessions) > charged


def test_nightly_scenes_keep_one_budget(renting: Renting, scenes: Path, tmp_path: Path) -> None:
    """Of a budget that is too small for one scene nothing is spent, and each scene says so."""
    given = more(shot(tmp_path, **ONE_MACHINE)) | {"main": ""}
    with pytest.raises(RuntimeError, match=r"not whole: a\.py, b\.py, c\.py"):
        example("nightly_scenes").nightly_scenes(
            str(scenes), str(tmp_path), frames="1-4", budget_usd=0.00001, pattern="*.py", more=given
        )
    assert renting.sessions == []


def test_render_check_video(renting: Renting, scene: Path, tmp_path: Path) -> None:
    given = {"renderer": {"samples": 1}, "poll_s": 0.3}
    video = example("render_check_video").render_check_video(str(scene), "1-5", str(tmp_path), fps=5, more=given)
    assert Path(video).read_bytes()[4:8] == b"ftyp"
    assert check_frames(tmp_path, range(1, 6), patterns=("frame_####.png",)).whole
    assert renting.running() == []


def test_still_variants(renting: Renting, still: Path, tmp_path: Path) -> None:
    module = example("still_variants")
    files = module.still_variants(str(still), str(tmp_path), module.EXAMPLE, more={"poll_s": 0.3})
    assert [Path(file).name for file in files] == named((1, 2, 3))
    colours = [corner_of(Path(file)) for file in files]
    # Each is of its own colour: red, green, blue.
    assert [max(range(3), key=lambda channel: colour[channel]) for colour in colours] == [0, 1, 2]
    assert renting.running() == []


def corner_of(picture: Path) -> list[int]:
    import OpenImageIO as oiio

    file = oiio.ImageInput.open(str(picture))
    pixels = file.read_image("uint8")
    file.close()
    return [int(value) for value in pixels[0][0][:3]]


def test_the_machines_of_examples_are_of_this_installation(renting: Renting, tmp_path: Path) -> None:
    """Flows in flows have a key of their own flow run, within the namespace that hooks and the reaper look at."""
    given = shot(tmp_path, "1-2", **ONE_MACHINE)
    example("render_check_video").render_animation_flow(**given)
    assert all(session["rental_key"].startswith(f"{namespace_here()}/prefect/") for session in renting.sessions)
