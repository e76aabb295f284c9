"""The example DAG, end to end: real Blender on emulated machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import Renting, example, run
from small_scene import make_scene


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "scene.blend")


@pytest.mark.e2e
def test_the_example_renders_every_frame(renting: Renting, scene: Path, tmp_path: Path) -> None:
    ended = run(example("render_animation"), conf(scene, tmp_path, frames="1-5", machines=3))
    assert ended.state == "success"
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"frame_{n:04d}.png" for n in range(1, 6)]
    assert len({path.read_bytes() for path in tmp_path.glob("*.png")}) == 5
    assert len(renting.sessions) == 3
    assert renting.running() == []
    bill = json.loads((tmp_path / "bill.json").read_text())
    assert bill == ended.result("bill")
    assert sorted(number for machine in bill["machines"] for number in machine["frames"]) == [1, 2, 3, 4, 5]
    assert int(bill["charge_wei"]) == sum(int(machine["charge_wei"]) for machine in bill["machines"]) > 0
    for index in range(3):
        assert "Saved:" in (tmp_path / "logs" / f"chunk_{index}.log").read_text()


@pytest.mark.e2e
def test_the_example_keeps_to_a_step(renting: Renting, scene: Path, tmp_path: Path) -> None:
    ended = run(example("render_animation"), conf(scene, tmp_path, frames="1-6x2,6", machines=1))
    assert ended.state == "success"
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"frame_{n:04d}.png" for n in (1, 3, 5, 6)]


@pytest.mark.e2e
def test_the_example_tells_which_frames_failed_and_what_it_cost(
    renting: Renting, scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.blend"
    broken.write_bytes(scene.read_bytes()[:2000])
    ended = run(example("render_animation"), conf(broken, tmp_path / "out", frames="1-4", machines=2))
    assert ended.state == "failed"
    assert ended.tasks["render_chunk.run[0]"] == "failed"
    assert ended.tasks["render_chunk.logs[0]"] == "success"
    assert ended.tasks["render_chunk.stop[1]"] == "success"
    assert renting.running() == []
    assert "4 frames were not rendered: 1-4." in capfd.readouterr().out
    bill = json.loads((tmp_path / "out" / "bill.json").read_text())
    assert len(bill["machines"]) == 2


def conf(scene: Path, output: Path, **params: Any) -> dict[str, Any]:
    return {"scene": str(scene), "output": str(output), "max_price_usd": 10} | params
