"""The example DAG, end to end: a quote, an answer to it, real Blender on emulated machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import Renting, example, run
from answering import CAN_ASK, answering
from small_scene import make_scene

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "scene.blend")


def conf(scene: Path, output: Path, **params: Any) -> dict[str, Any]:
    usual = {"seconds_per_frame": 2, "max_price_usd": 10, "approved_usd": 5.0}
    return {"scene": str(scene), "output": str(output), **usual, **params}


def frames_in(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("frame_")) for path in folder.glob("frame_*.png"))


def test_what_was_approved_is_rendered_and_costs_no_more(renting: Renting, scene: Path, tmp_path: Path) -> None:
    with answering("Approve") as asked:
        ended = run(example("render_animation"), conf(scene, tmp_path, frames="1-6x2,6"))
    assert ended.tasks == dict.fromkeys(("plan", "approve", "render"), "success")
    assert frames_in(tmp_path) == [1, 3, 5, 6]
    quote, rendered = ended.result("plan"), ended.result("render")
    assert (rendered["done"], rendered["missing"]) == (4, "")
    assert json.loads(Path(rendered["manifest"]).read_text())["cost_wei"] == rendered["cost_wei"]
    assert sum(int(one["charge_wei"]) for one in renting.sessions) == int(rendered["cost_wei"])
    assert 0 < int(rendered["cost_wei"]) <= int(quote["chosen"]["cost_most_wei"])
    if CAN_ASK:
        ((subject, body),) = asked
        assert subject == f"Render {scene}?"
        assert body == quote["markdown"]
    assert renting.running() == []


def test_what_was_not_approved_rents_nothing(renting: Renting, scene: Path, tmp_path: Path) -> None:
    with answering("Reject"):
        ended = run(example("render_animation"), conf(scene, tmp_path, frames="1-4", approved_usd=0.0))
    assert ended.tasks["plan"] == "success"
    assert ended.tasks["render"] == "skipped"
    assert renting.sessions == []
    assert frames_in(tmp_path) == []


def test_a_broken_scene_costs_a_start_up_or_two_and_is_not_tried_again(
    renting: Renting, scene: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.blend"
    broken.write_bytes(scene.read_bytes()[:2000])
    with answering("Approve"):
        ended = run(example("render_animation"), conf(broken, tmp_path / "out", frames="1-4"))
    assert ended.tasks["render"] == "failed"
    assert 1 <= len(renting.sessions) <= 2
    assert renting.running() == []


def test_frames_of_an_earlier_render_are_not_taken_for_this_one_s(
    renting: Renting, scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "frame_0002.png").write_bytes(b"of yesterday")
    with answering("Approve"):
        ended = run(example("render_animation"), conf(scene, tmp_path, frames="1-4"))
    assert ended.state == "failed"
    log = capfd.readouterr()
    assert "frame_0002.png, which this batch did not render: move them away" in log.out + log.err
    assert renting.sessions == []
