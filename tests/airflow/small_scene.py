"""The demo's scene, as small as it gets."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from airflow_runs import BLENDER_PYTHON

ROOT = Path(__file__).parents[2]


def make_scene(path: Path) -> Path:
    """Make a .blend file of 6 frames; returns its path."""
    path.write_bytes(_scene())
    return path


@cache
def _scene() -> bytes:
    """Made once: every test begins with the same."""
    script = ROOT / "demo" / "make_scene.py"
    size = ["--frames", "6", "--size", "64", "36", "--samples", "1"]
    assert BLENDER_PYTHON.exists(), "Blender's environment is missing: run `make blender`"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.blend"
        subprocess.run([BLENDER_PYTHON, script, path, *size], check=True, capture_output=True)
        return path.read_bytes()
