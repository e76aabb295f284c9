"""A command a frame with real POV-Ray: what a template does for a renderer that knows nothing of us."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from octa_provider.batch.renderers.log_rule import LogRule
from octa_provider.batch.renderers.renderer import Renderer

MADE = Path(__file__).resolve().parents[4] / ".venvs" / "povray" / "bin"
PATH = f"{MADE}:{os.environ['PATH']}"
SCENE = """
camera { location <0, 1, -4> look_at 0 }
light_source { <5, 5, -5> rgb 1 }
sphere { <clock / 10, 0, 0>, 1 pigment { rgb <1, 0.3, 0> } }
"""
POVRAY = Renderer(
    "povray:3.7",
    "povray +I{scene} +O{output}/frame_{frame:04d}.png +FN +W32 +H18 -D +K{frame}",
    progress=r"Rendered (?P<done>\d+) of (?P<total>\d+) pixels",
    log_rules=(LogRule(r"Parse Error: |Cannot open input file", "scene error"),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("scene", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "scene" / "ball.pov").write_text(SCENE)
    return tmp_path


def run(folder: Path, frames: list[int], main: str = "ball.pov") -> subprocess.CompletedProcess[str]:
    assert shutil.which("povray", path=PATH), "make povray"
    (folder / "script").write_text(POVRAY.process_script(frames, main))
    return subprocess.run(
        ["sh", folder / "script"],
        cwd=folder / "scene",
        env={"PATH": PATH, "OUT": str(folder / "out"), "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def test_each_frame_is_a_picture_of_its_own_time(folder: Path) -> None:
    (folder / "out" / ".claim").mkdir()
    (folder / "out" / POVRAY.skip_file(3)).touch()
    (folder / "out" / "frame_0003.png").write_text("another process has made it")
    done = run(folder, [1, 2, 3, 20])
    assert done.returncode == 0, done.stdout
    names = ["frame_0001.png", "frame_0002.png", "frame_0020.png"]
    assert sorted(path.name for path in (folder / "out").glob("*.png")) == sorted([*names, "frame_0003.png"])
    assert (folder / "out" / "frame_0003.png").read_text() == "another process has made it"
    pictures = []
    for name in names:
        with Image.open(folder / "out" / name) as picture:
            assert picture.size == (32, 18)
            pictures.append(picture.convert("RGB").tobytes())
    assert len(set(pictures)) == 3
    assert POVRAY.failure_of(done.stdout, done.returncode) is None


@pytest.mark.parametrize(("text", "said"), [(SCENE + "spere { 0, 1 }", "Parse Error: "), (None, "Cannot find file")])
def test_a_broken_scene_is_told_as_one(folder: Path, text: str | None, said: str) -> None:
    main = "ball.pov" if text else "nowhere.pov"
    if text:
        (folder / "scene" / main).write_text(text)
    done = run(folder, [1, 2], main)
    failure = POVRAY.failure_of(done.stdout, done.returncode)
    assert done.returncode == 1
    assert failure is not None
    assert (failure.kind, said in failure.message) == ("scene error", True)
    assert not list((folder / "out").glob("*.png"))
    # The second frame was not begun.
    assert not (folder / "out" / POVRAY.skip_file(2)).exists()
