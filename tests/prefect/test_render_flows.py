"""The flow that renders an animation: what it returns, shows and refuses, with a quick renderer and in real Blender."""

from __future__ import annotations

import json
import pickle
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import BLENDER_PYTHON
from prefect_server import PrefectServer
from pydantic import SecretStr
from renting import Renting
from shots import ONE_MACHINE, named, pictures, shot

from octa_provider.errors import OctaConfigError, OctaPlanError
from octa_provider.pictures import check_frames
from prefect_blocks import FramesMissingError, OctaCredentials
from prefect_blocks.flows import render_animation_flow

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("server")]

ROOT = Path(__file__).parents[2]
#: Renders 12 frames in a second; what spoils its pictures is a fault of the emulator.
FAKE = {"image": "frames", "command": "octa-fake-renderer --frames {frames} --output {output} --seconds 0.1"}


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's scene, as small as it gets."""
    path = tmp_path_factory.mktemp("scene") / "scene.blend"
    size = ["--frames", "6", "--size", "64", "36", "--samples", "1"]
    assert BLENDER_PYTHON.exists(), "Blender's environment is missing: run `make blender`"
    subprocess.run([BLENDER_PYTHON, ROOT / "demo" / "make_scene.py", path, *size], check=True, capture_output=True)
    return path


def last_run(server: PrefectServer, flow_name: str = "octa-render-animation") -> str:
    return str(max(server.runs_of(flow_name), key=lambda one: one["start_time"])["id"])


def test_an_animation_over_several_machines(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    totals = render_animation_flow(**shot(tmp_path, frame_s=0.5))
    assert pictures(tmp_path) == named(range(1, 25))
    assert check_frames(tmp_path / "out", range(1, 25), patterns=("frame_####.png",)).whole
    assert len(renting.sessions) >= 2
    charged = sum(session["charge_wei"] for session in renting.sessions)
    assert {name: totals[name] for name in ("outcome", "frames", "done", "rendered", "missing", "machines")} == {
        "outcome": "whole",
        "frames": 24,
        "done": 24,
        "rendered": 24,
        "missing": "",
        "machines": len(renting.sessions),
    }
    assert int(totals["cost_wei"]) == charged > 0
    assert json.loads(Path(totals["manifest"]).read_text())["whole"] is True
    assert totals["quoted"]["p50"] <= totals["quoted"]["p90"] <= totals["quoted"]["most"]
    # The keys name the flow run, so that hooks and the reaper know whose the machines are.
    run = last_run(server)
    assert {key.split("/batch/")[0].rpartition("-")[0] for key in renting.rental_keys} == {f"prefect/{run}/render"}


def test_what_it_returns_does_not_grow_with_the_frames(renting: Renting, tmp_path: Path) -> None:
    few = render_animation_flow(**shot(tmp_path / "few", "1-2", **ONE_MACHINE))
    many = render_animation_flow(**shot(tmp_path / "many", "1-60", **ONE_MACHINE))
    assert many["done"] == 60
    assert len(json.dumps(many)) < len(json.dumps(few)) + 50


def test_again_renders_nothing_and_asks_for_nothing(renting: Renting, tmp_path: Path) -> None:
    first = render_animation_flow(**shot(tmp_path, "1-3", labels={"project": "atlas"}, **ONE_MACHINE))
    count = len(renting.sessions)
    ours = {one["uuid"] for one in renting.sessions}
    with renting.client() as client:
        labelled = [one.labels for one in client.sessions.list(recent=True) if one.uuid in ours]
    assert labelled == [{"project": "atlas"}] * count
    again = render_animation_flow(**shot(tmp_path, "1-3", labels={"project": "another"}))
    assert (again["outcome"], again["rendered"], again["machines"]) == ("whole", 0, 0)
    assert again["cost_wei"] == first["cost_wei"]
    assert len(renting.sessions) == count


def test_more_frames_later_render_those_alone(renting: Renting, tmp_path: Path) -> None:
    render_animation_flow(**shot(tmp_path, "1-12x3", **ONE_MACHINE))
    before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in pictures(tmp_path)}
    assert sorted(before) == named((1, 4, 7, 10))
    totals = render_animation_flow(**shot(tmp_path, "1-12", **ONE_MACHINE))
    assert (totals["done"], totals["rendered"]) == (12, 8)
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before


def test_frames_that_are_missing_are_an_error_that_names_them(
    server: PrefectServer, renting: Renting, tmp_path: Path
) -> None:
    renting.emulator.faults({"kind": "render", "form": "cut", "frame": 4, "times": None})
    with pytest.raises(FramesMissingError, match=r"incomplete: 1 of 12 frames are missing: 4; .*cut off") as raised:
        render_animation_flow(**shot(tmp_path, "1-12", renderer=FAKE, **ONE_MACHINE))
    assert pictures(tmp_path) == named(n for n in range(1, 13) if n != 4), "what was paid for is kept"
    charged = sum(session["charge_wei"] for session in renting.sessions)
    assert (raised.value.missing, raised.value.totals["done"]) == ("4", 11)
    assert int(raised.value.totals["cost_wei"]) == charged
    same = pickle.loads(pickle.dumps(raised.value))
    assert (str(same), same.totals) == (str(raised.value), raised.value.totals)
    # What it cost is shown although it failed.
    table = cost_of(server, last_run(server))
    assert table[0]["frames"] == "11 of 12"
    assert int(table[0]["wei"]) == charged


def cost_of(server: PrefectServer, run: str) -> list[dict[str, str]]:
    return list(json.loads(next(one["data"] for one in server.artifacts_of(run) if one["key"] == "octa-render-cost")))


def test_a_scene_that_fails_everywhere_ends_after_two_machines(renting: Renting, tmp_path: Path) -> None:
    fails = {"image": "frames", "command": "sh -c 'echo no such camera: {frame} >&2; exit 3'"}
    with pytest.raises(FramesMissingError, match=r"scene error: 12 of 12 frames are missing: 1-12; .*no such camera"):
        render_animation_flow(**shot(tmp_path, "1-12", renderer=fails, seconds_per_frame=None, finish_within_s=None))
    assert len(renting.sessions) == 2
    assert renting.running() == []


def test_the_budget_is_kept(renting: Renting, tmp_path: Path) -> None:
    with pytest.raises(OctaPlanError):
        render_animation_flow(**shot(tmp_path, max_cost_usd=0.01))
    assert renting.sessions == []


def test_a_budget_that_is_reached_is_an_error_and_all_machines_are_stopped(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan takes the frames for quick; they are not, and the machine is given up."""
    monkeypatch.setattr("octa_provider.batch.fleet._HANGS_LEAST_S", 30.0)
    hours = {"frame_s": 600.0, "max_cost_usd": 0.5, **ONE_MACHINE}

    def a_day_passes() -> None:
        renting.wait_until_running()
        renting.emulator.advance_clock(24 * 3600)

    passing = threading.Thread(target=a_day_passes)
    passing.start()
    with pytest.raises(FramesMissingError, match="over budget: 12 of 12 frames are missing: 1-12"):
        render_animation_flow(**shot(tmp_path, "1-12", **hours))
    passing.join()
    assert renting.running() == []


def test_the_bill_stands_beside_the_quote(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    totals = render_animation_flow(**shot(tmp_path, frame_s=0.5))
    run = last_run(server)
    whole, *machines = cost_of(server, run)
    assert whole["machine"] == f"all {len(renting.sessions)}"
    assert whole["USD"] == f"{totals['cost_usd']:.6f}"
    assert [whole[name] for name in ("quoted", "9 in 10 under", "at most")] == [
        f"{totals['quoted'][name]:.6f}" for name in ("p50", "p90", "most")
    ]
    assert {row["session"] for row in machines} == {session["uuid"] for session in renting.sessions}
    assert sum(int(row["frames"]) for row in machines) == 24
    assert sum(int(row["wei"]) for row in machines) == int(whole["wei"]) == int(totals["cost_wei"])
    bars = [one for one in server.artifacts_of(run) if one["type"] == "progress"]
    assert [(float(bar["data"]), bar["key"]) for bar in bars] == [(100.0, "octa-render-progress")]
    assert "24 of 24 frames" in bars[0]["description"]


def test_a_saved_account(renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow's parameters hold the block's name, and no key."""
    emulator = renting.emulator
    account = OctaCredentials(
        api_key=SecretStr(emulator.api_key),
        base_url=emulator.base_url,
        ssh_private_key=SecretStr(emulator.ssh_private_key.read_text()),
    )
    account.save("renders", overwrite=True)
    for name in ("OCTA_API_KEY", "OCTA_BASE_URL", "OCTA_SSH_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert render_animation_flow(**shot(tmp_path, "1-2", **ONE_MACHINE), credentials="renders")["done"] == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"frames": ""}, "say frames"),
        ({"frames": "10-1"}, "10-1"),
        ({"scene": "/nowhere/shot.blend"}, "there is no scene /nowhere/shot.blend"),
        ({"main": "other.py"}, "there is no file other.py"),
        ({"output": "s3://bucket/frames"}, "must be a folder of a file system"),
        ({"renderer": {"imag": "blender:4.5"}}, "renderer has no imag: choose from .*image"),
        ({"renderer": {"image": "x", "command": "x {frame}", "log_rules": ["x"]}}, "log_rules must be a list of map"),
        ({"check": {"sizes": [1, 1]}}, "check has no sizes: choose from .*size"),
        ({"requirements": {"gpus": 2}}, "requirements have no gpus: choose from"),
        ({"max_machines": 0}, "max_machines must be a whole number from 1"),
        ({"quote": {"frames": 24}}, "this is no quote of a batch"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_is_paid(
    renting: Renting, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(OctaConfigError, match=says):
        render_animation_flow(**shot(tmp_path) | options)
    assert renting.sessions == []


@pytest.mark.parametrize("output", ["~/out", "~/out/"])
def test_an_output_folder_as_a_shell_would_read_it(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    render_animation_flow(**shot(tmp_path, "1-2", **ONE_MACHINE) | {"output": output})
    assert pictures(tmp_path) == named((1, 2))


def test_in_real_blender(renting: Renting, scene: Path, tmp_path: Path) -> None:
    """The scene is asked first; what a frame takes is measured; another scene is not rendered into the same folder."""
    given: dict[str, Any] = {"frames": "1-4", "output": str(tmp_path), "renderer": {"samples": 1}, "poll_s": 0.3}
    totals = render_animation_flow(str(scene), **given)
    assert (totals["outcome"], totals["done"]) == ("whole", 4)
    assert check_frames(tmp_path, range(1, 5)).whole
    other = scene.with_name("other.blend")
    other.write_bytes(scene.read_bytes()[:2000])
    count = len(renting.sessions)
    with pytest.raises(OctaConfigError, match="rendered from another scene"):
        render_animation_flow(str(other), **given)
    assert len(renting.sessions) == count
    with pytest.raises(FramesMissingError, match="scene error: 4 of 4 frames are missing: 1-4"):
        render_animation_flow(str(other), **given | {"output": str(tmp_path / "other")})
    assert renting.running() == []
