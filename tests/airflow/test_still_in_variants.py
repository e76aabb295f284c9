"""The example DAG of a still in many variants, end to end: real Blender on emulated machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow_runs import Renting, example, run
from small_scene import make_scene

pytestmark = [pytest.mark.e2e]

BRIGHT = "bpy.data.worlds['sky'].node_tree.nodes['Background'].inputs['Strength'].default_value = 40.0"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "scene.blend")


def render(scene: Path, output: Path, *variants: dict[str, str]) -> Any:
    conf = {
        "scene": str(scene),
        "output": str(output),
        "samples": 1,
        "seconds_per_still": 2,
        "variants": list(variants),
    }
    return run(example("still_in_variants"), conf)


def variant(name: str, python: str = "") -> dict[str, str]:
    return {"name": name, "python": python}


def test_each_variant_is_a_still_and_sees_nothing_of_the_others(renting: Renting, scene: Path, tmp_path: Path) -> None:
    bright, plain = variant("bright", BRIGHT), variant("plain")
    ended = render(scene, tmp_path / "a", bright, plain, variant("close", "scene.camera.data.lens = 120"))
    assert ended.state == "success"
    stills = tmp_path / "a" / "stills"
    assert sorted(path.name for path in stills.iterdir()) == ["bright.png", "close.png", "plain.png"]
    assert len({path.read_bytes() for path in stills.iterdir()}) == 3
    assert ended.result("render")["done"] == 3
    assert len(renting.sessions) <= 2, "all of them share a start-up or two"
    assert renting.running() == []
    # Nothing of the bright one is in what is rendered after it.
    ended = render(scene, tmp_path / "b", plain, plain)
    assert ended.state == "success"
    first, second = (tmp_path / "b" / f"frame_000{number}.png" for number in (1, 2))
    assert abs(second.stat().st_size - (tmp_path / "a" / "frame_0002.png").stat().st_size) < 200
    assert first.is_file()


def test_a_variant_whose_lines_fail_ends_the_batch_and_is_named(
    renting: Renting, scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = render(scene, tmp_path, variant("typo", "bpy.data.objects['Nobody'].hide_render = True"))
    assert ended.tasks["render"] == "failed"
    assert ended.tasks["name_stills"] == "upstream_failed"
    log = capfd.readouterr()
    assert "the variant typo: KeyError" in log.out + log.err
    assert 1 <= len(renting.sessions) <= 2
    assert list(tmp_path.glob("*.png")) == []
    assert renting.running() == []


def test_a_name_that_is_a_path_is_refused(renting: Renting, scene: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="does not match"):
        render(scene, tmp_path, variant("../../home"))
    assert renting.sessions == []
