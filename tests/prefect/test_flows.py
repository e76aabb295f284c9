"""The flows that are deployed as they are: one job, and an animation over several machines, in real Blender."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BLENDER_PYTHON
from prefect_server import PrefectServer
from pydantic import SecretStr
from renting import Renting

from octa_provider.errors import OctaConfigError
from octa_provider.render.frames import parse
from octa_provider.render.pictures import broken_frames, png_size
from prefect_blocks import JobFailedError, OctaCredentials
from prefect_blocks.flows import render_animation_flow, run_job_flow
from prefect_blocks.render_chunk import FramesMissingError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.usefixtures("server")]

ROOT = Path(__file__).parents[2]
QUICK = {"poll_s": 0.3}


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's scene, as small as it gets."""
    path = tmp_path_factory.mktemp("scene") / "scene.blend"
    size = ["--frames", "6", "--size", "64", "36", "--samples", "1"]
    assert BLENDER_PYTHON.exists(), "Blender's environment is missing: run `make blender`"
    subprocess.run([BLENDER_PYTHON, ROOT / "demo" / "make_scene.py", path, *size], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def stereo_scene(scene: Path) -> Path:
    """The same, but each eye has a file of its own: no frame has the name that is asked for."""
    path = scene.with_name("stereo.blend")
    script = (
        "import bpy, sys; bpy.ops.wm.open_mainfile(filepath=sys.argv[-2]); render = bpy.context.scene.render; "
        "render.use_multiview = True; render.image_settings.views_format = 'INDIVIDUAL'; "
        "bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])"
    )
    subprocess.run([BLENDER_PYTHON, "-c", script, scene, path], check=True, capture_output=True)
    return path


@pytest.fixture
def limit_of_one(server: PrefectServer) -> Iterator[str]:
    name = f"octa-{uuid.uuid4().hex[:6]}"
    server.post("/v2/concurrency_limits/", name=name, limit=1)
    yield name
    server.delete(f"/v2/concurrency_limits/{name}")


def most_at_once(renting: Renting) -> int:
    """How many sessions ran at the same time, by the ledger."""
    edges = [(session["started_ms"], 1) for session in renting.sessions]
    edges += [(session["stopped_ms"], -1) for session in renting.sessions]
    running, most = 0, 0
    for _, step in sorted(edges):
        running += step
        most = max(most, running)
    return most


def test_a_job(renting: Renting) -> None:
    result = run_job_flow("alpine:3", "echo done", **QUICK)
    assert (result["exit_code"], result["outcome"]) == (0, "succeeded")
    assert int(result["cost_wei"]) == renting.sessions[0]["charge_wei"]


def test_a_job_that_fails_fails_the_flow(renting: Renting) -> None:
    with pytest.raises(JobFailedError, match="exit code 9"):
        run_job_flow("alpine:3", "exit 9", **QUICK)
    assert renting.running() == []


def test_a_job_on_the_account_of_a_saved_block(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow's parameters hold the block's name, and no key."""
    emulator = renting.emulator
    OctaCredentials(api_key=SecretStr(emulator.api_key), base_url=emulator.base_url).save("flows", overwrite=True)
    monkeypatch.delenv("OCTA_API_KEY")
    monkeypatch.delenv("OCTA_BASE_URL")
    assert run_job_flow("alpine:3", "true", credentials="flows", **QUICK)["exit_code"] == 0


def test_an_animation_over_three_machines(server: PrefectServer, renting: Renting, scene: Path, tmp_path: Path) -> None:
    bill = render_animation_flow(str(scene), "1-5", str(tmp_path), machines=3, **QUICK)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"frame_{n:04d}.png" for n in range(1, 6)]
    assert broken_frames(tmp_path, range(1, 6), size=(64, 36)) == {}
    assert len({path.read_bytes() for path in tmp_path.glob("*.png")}) == 5
    assert len(renting.sessions) == 3
    assert most_at_once(renting) > 1, "they share the frames at the same time"
    assert int(bill["charge_wei"]) == sum(session["charge_wei"] for session in renting.sessions) > 0
    runs = server.runs_of("octa-render-animation")
    tables = [one for run in runs for one in server.artifacts_of(run["id"]) if one["key"] == "octa-render-cost"]
    assert any(all(session["uuid"] in table["data"] for session in renting.sessions) for table in tables)


def test_a_step_and_a_single_frame(renting: Renting, scene: Path, tmp_path: Path) -> None:
    render_animation_flow(str(scene), "1-6x2,6", str(tmp_path), machines=1, **QUICK)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"frame_{n:04d}.png" for n in (1, 3, 5, 6)]
    assert len(renting.sessions) == 1


def test_a_concurrency_limit_bounds_how_many_run_at_once(
    renting: Renting, scene: Path, tmp_path: Path, limit_of_one: str
) -> None:
    render_animation_flow(str(scene), "1-3", str(tmp_path), machines=3, concurrency_limit=limit_of_one, **QUICK)
    assert len(renting.sessions) == 3
    assert most_at_once(renting) == 1
    assert broken_frames(tmp_path, range(1, 4)) == {}


def test_a_scene_that_can_not_be_read_fails_with_what_it_cost(
    server: PrefectServer, renting: Renting, scene: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.blend"
    broken.write_bytes(scene.read_bytes()[:2000])
    with pytest.raises(FramesMissingError, match="2 of 2 frames are missing or broken: 1-2"):
        render_animation_flow(str(broken), "1-2", str(tmp_path / "out"), machines=1, concurrency_limit="", **QUICK)
    assert renting.running() == []
    assert len(renting.sessions) == 2, "a chunk is tried twice"
    run = max(server.runs_of("octa-render-animation"), key=lambda one: one["start_time"])
    table = next(one["data"] for one in server.artifacts_of(run["id"]) if one["key"] == "octa-render-cost")
    assert renting.sessions[-1]["uuid"] in table


def test_frames_that_came_broken_or_not_at_all_are_named(
    renting: Renting, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blender ends with 0; on the way home a frame is lost, one is cut off, and one is of another size."""
    from prefect_blocks import render_chunk as module

    real = module.run_job

    def spoils(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        (tmp_path / "frame_0001.png").unlink()
        cut = tmp_path / "frame_0002.png"
        cut.write_bytes(cut.read_bytes()[:-5])
        return result

    monkeypatch.setattr(module, "run_job", spoils)
    with pytest.raises(FramesMissingError, match="2 of 3 frames are missing or broken: 1-2"):
        render_animation_flow(str(scene), "1-3", str(tmp_path), machines=1, **QUICK)
    assert png_size(tmp_path / "frame_0003.png") == (64, 36), "what was paid for is kept"
    assert renting.running() == []


def test_frames_of_an_earlier_render_in_the_folder_are_no_success(
    renting: Renting, scene: Path, stereo_scene: Path, tmp_path: Path
) -> None:
    """The second render succeeds, and leaves no frame under the name that was asked for."""
    render_animation_flow(str(scene), "1-3", str(tmp_path), machines=1, **QUICK)
    before = {path: path.read_bytes() for path in tmp_path.glob("frame_????.png")}
    with pytest.raises(FramesMissingError, match=r"3 of 3 frames .* 1-3; .*_0001\.png was not made by this render"):
        render_animation_flow(str(stereo_scene), "1-3", str(tmp_path), machines=2, **QUICK)
    assert {path: path.read_bytes() for path in before} == before, "the earlier frames are the user's"
    assert len(list(tmp_path.glob("frame_????_L.png"))) == 3, "what was paid for is kept"
    assert renting.running() == []


@pytest.mark.parametrize(("left", "missing"), [("1,5", "2-4"), ("2-4", "1,5"), ("1-4", "5")])
def test_fewer_frames_than_asked_fail_with_the_missing_range(
    renting: Renting, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str, missing: str
) -> None:
    """Blender ends with 0 all the same; the folder holds all five of yesterday."""
    from prefect_blocks import render_chunk as module

    real = module.run_job
    picture = scene.with_name("yesterday.png")
    if not picture.exists():
        render_animation_flow(str(scene), "1", str(tmp_path / "one"), machines=1, **QUICK)
        picture.write_bytes((tmp_path / "one" / "frame_0001.png").read_bytes())
    for number in range(1, 6):
        (tmp_path / f"frame_{number:04d}.png").write_bytes(picture.read_bytes())

    def renders_less(image: str, command: str, **options: Any) -> Any:
        assert command.endswith(" 1,2,3,4,5")
        numbers = ",".join(str(number) for number in parse(left))
        return real(image, command.replace("1,2,3,4,5", numbers), **options)

    monkeypatch.setattr(module, "run_job", renders_less)
    with pytest.raises(FramesMissingError, match=f"of 5 frames are missing or broken: {missing};"):
        render_animation_flow(str(scene), "1-5", str(tmp_path), machines=1, **QUICK)
    assert renting.running() == []


@pytest.mark.parametrize("output", ["~/frames", "~/frames/"])
def test_an_output_folder_as_a_shell_would_read_it(
    renting: Renting, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    render_animation_flow(str(scene), "1-2", output, machines=1, **QUICK)
    assert broken_frames(tmp_path / "frames", range(1, 3)) == {}
    assert len(renting.sessions) == 1


@pytest.mark.parametrize("frames", ["", "10-1", "-5--1", "1:3"])
def test_frames_that_can_not_be_are_refused_before_anything_is_paid(
    renting: Renting, scene: Path, tmp_path: Path, frames: str
) -> None:
    with pytest.raises(OctaConfigError):
        render_animation_flow(str(scene), frames, str(tmp_path), **QUICK)
    assert renting.sessions == []
