"""The ten minutes of docs/rendering.md, as they stand there: from a scene to a video, on an emulated machine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from test_blender_command import COMMAND, blender_python

from octa_provider.emulator.testing import EmulatorHandle, start_emulator

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "rendering.md").read_text(encoding="utf-8")


def ten_minutes() -> list[str]:
    """The commands, a line each."""
    (block,) = re.findall(r"<!-- ten minutes -->\n\s*```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    return [line.partition("  #")[0].strip() for line in block.splitlines() if line.strip()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a scene, and a `blender` in the search path."""
    scene = [tmp_path / "shot.blend", "--frames", "24", "--size", "64", "36", "--samples", "1"]
    subprocess.run([blender_python(), ROOT / "demo" / "make_scene.py", *scene], check=True, capture_output=True)
    command = tmp_path / "bin" / "blender"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(blender_python())} {shlex.quote(str(COMMAND))} "$@"\n')
    command.chmod(0o755)
    return tmp_path


def said_to(emulator: EmulatorHandle, place: Path, line: str) -> str:
    """What a command of the document prints, with status 0."""
    program, *words = shlex.split(line)
    assert program == "octa-provider"
    if words[0] == "render":
        words.append("--yes")  # the document's reader is asked; here is no terminal
    environment = {
        **os.environ,
        **emulator.env(),
        "OCTA_SSH_KEY_FILE": str(emulator.ssh_private_key),
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "octa_provider", *words]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


def test_ten_minutes_lead_from_a_scene_to_a_video(place: Path) -> None:
    with start_emulator(blender_python=blender_python(), quirks=False, start_delay_s=0.2) as emulator:
        told = [said_to(emulator, place, line) for line in ten_minutes()]
        ledger = emulator.ledger()
    assert "24 frames" in told[0]
    assert "21 frames" in told[1], "three are measured, and kept"
    assert "whole: 24 of 24 frames" in told[2]
    assert "24 of 24 frames whole" in told[3]
    assert (place / "out" / "sheet.png").is_file()
    assert (place / "out" / "preview.mp4").stat().st_size > 1000
    assert ledger["running"] == 0
    assert len(ledger["sessions"]) == 2, "one that measured, one that rendered the rest"
