"""Every option of a batch reaches it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from octa_provider.batch.batch import Batch
from octa_provider.batch.check import Check
from octa_provider.batch.renderers.blender import blender
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.cli.options.batch_parts import add_batch_options, batch_of, changes_of
from octa_provider.cli.options.parser import CommandParser
from octa_provider.errors import OctaConfigError
from octa_provider.market.requirements import Requirements


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "shots" / "shot.blend"
    path.parent.mkdir()
    path.write_bytes(b"BLENDER")
    (path.parent / "first.py").write_text("print(1)")
    return path


def read(scene: Path, *words: str) -> argparse.Namespace:
    parser = CommandParser()
    parser.add_argument("scene", nargs="?")
    parser.add_argument("--output")
    add_batch_options(parser)
    return parser.parse_args([str(scene), "--frames", "1-9", "--output", "out", *words])


def test_what_is_left_out_is_what_a_batch_takes_by_itself(scene: Path) -> None:
    assert batch_of(read(scene)) == Batch(str(scene), "1-9", "out")


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (("--max-machines", "7"), "max_machines", 7),
        (("--max-cost-usd", "2.5"), "max_cost_usd", 2.5),
        (("--within", "1h30m"), "finish_within_s", 5400.0),
        (("--confidence", "0.95"), "confidence", 0.95),
        (("--max-failed-frames", "2"), "max_failed_frames", 2),
        (("--tries-per-frame", "4"), "tries_per_frame", 4),
        (("--seconds-per-frame", "12"), "seconds_per_frame", 12.0),
        (("--on-changed", "replace"), "on_changed", "replace"),
        (("--order", "spread"), "order", "spread"),
        (("--ready-timeout", "5m"), "ready_timeout_s", 300.0),
        (("--max-duration", "3h"), "max_duration_s", 10800.0),
        (("--wait-for-machine", "90m"), "wait_for_machine_s", 5400.0),
        (("--gpu-model", "4090"), "requirements", Requirements(gpu_model="4090")),
        (
            ("--gpu-model", "4090", "--gpu-model", "3090", "--country", "DE"),
            "requirements",
            Requirements(gpu_model=("4090", "3090"), country="DE"),
        ),
        (("--disk-gb", "50"), "disk_gb", 50),
        (("--disk-gb", "50"), "requirements", Requirements(disk_gb=50)),
        (("--size", "1920x1080"), "check", Check(size=(1920, 1080))),
        (("--one-colour", "allow"), "check", Check(one_colour="allow")),
        (("--image", "blender:5.2"), "renderer", blender("blender:5.2")),
        (
            ("--scene-name", "B", "--device", "CPU", "--format", "OPEN_EXR", "--engine", "CYCLES", "--samples", "8"),
            "renderer",
            blender(scene="B", device="CPU", format="OPEN_EXR", engine="CYCLES", samples=8),
        ),
        (
            ("--view-layer", "a", "--view-layer", "b", "--addon", "x", "--ocio", "c.ocio", "--allow-missing"),
            "renderer",
            blender(view_layers=("a", "b"), addons=("x",), ocio="c.ocio", allow_missing=True),
        ),
        (
            ("--file", "a_{frame:04d}.png", "--file", "z_{frame:04d}.exr", "--frames-per-process", "5"),
            "renderer",
            blender(files=("a_{frame:04d}.png", "z_{frame:04d}.exr"), max_frames_per_process=5),
        ),
        (
            ("--image", "i", "--command", "r {start} {end} {output}", "--file", "a{frame}.png", "--can-skip"),
            "renderer",
            Renderer("i", "r {start} {end} {output}", files=("a{frame}.png",), can_skip=True),
        ),
    ],
)
def test_an_option_is_an_argument_of_the_batch(scene: Path, words: tuple[str, ...], field: str, value: object) -> None:
    assert getattr(batch_of(read(scene, *words)), field) == value


def test_a_python_file_and_the_scenes_file_are_found(scene: Path) -> None:
    script = scene.parent / "first.py"
    batch = batch_of(read(scene.parent, "--main", "shot.blend", "--python", str(script)))
    assert (batch.main_file, batch.renderer) == ("shot.blend", blender(python=(script,)))


def test_by_a_moment_is_a_deadline(scene: Path) -> None:
    left_s = batch_of(read(scene, "--by", "23:59")).finish_within_s
    assert left_s is not None
    assert 0 < left_s <= 86400


def test_what_a_resume_may_change_is_given_and_nothing_else(scene: Path) -> None:
    parser = CommandParser()
    add_batch_options(parser)
    assert changes_of(parser.parse_args([])) == {}
    words = ["--within", "2h", "--max-machines", "3", "--exclude-nodes", "5,6", "--order", "backward"]
    assert changes_of(parser.parse_args(words)) == {
        "finish_within_s": 7200.0,
        "max_machines": 3,
        "requirements": Requirements(exclude_nodes=(5, 6)),
        "order": "backward",
    }
    for words, name in (
        (["--image", "x"], "--image"),
        (["--can-skip"], "--can-skip"),
        (["--view-layer", "x"], "--view-layer"),
    ):
        with pytest.raises(OctaConfigError, match=f"--resume OUT knows {name}: leave it out"):
            changes_of(parser.parse_args(words))
