"""The commands of `octa-provider` that README and docs show for a shell, pasted and run on one emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octa_provider import MachineRequest, OctaClient
from octa_provider.emulator.container.exr_bytes import frame_exr
from octa_provider.emulator.container.png_bytes import frame_png
from octa_provider.emulator.testing import EmulatorHandle
from tests.document_blocks import BLOCKS
from tests.pasted_commands import PROGRAMS, lines_of, pasted

LINES = sorted(
    {
        line
        for block in BLOCKS
        if block.language == "sh" and block.document.name != "CHANGELOG.md"
        for line in lines_of(block.text)
        if "octa-provider " in line
    }
)
#: What begins so needs a renderer, the network or no end, and runs elsewhere: where.
ELSEWHERE = {
    "octa-provider render": "tests/demo/test_rendering_document.py, tests/cli/test_cli_render.py",
    "octa-provider plan shot.blend --frames 1-24 ": "tests/demo/test_rendering_document.py",
    "octa-provider run blender": "tests/cli/test_cli_run.py",
    "octa-provider run python:3.12 --secret-env HF_TOKEN -- huggingface-cli": "tests/cli/test_cli_run.py",
    "octa-provider emulator": "tests/emulator",
}
HERE = [line for line in LINES if not line.startswith(tuple(ELSEWHERE))]


def test_what_runs_elsewhere_is_still_shown() -> None:
    assert PROGRAMS[0] == "octa-provider"
    assert len(HERE) > 20
    assert [begin for begin in ELSEWHERE if not any(line.startswith(begin) for line in LINES)] == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: EmulatorHandle) -> Path:
    """Where a reader is who has a scene and a key."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("OCTA_SSH_KEY_FILE", str(emulator.ssh_private_key))
    monkeypatch.setenv("HF_TOKEN", "a-token")
    # A machine that is busy takes long to look at its own clock.
    monkeypatch.setattr("octa_provider.cli.output.finding.MAX_SKEW_S", 3600)
    (place / "shot.blend").write_bytes(b"BLENDER-v405")
    (place / "train.py").write_text("import os; print(len(os.environ['HF_TOKEN']))\n")
    return place


@pytest.mark.parametrize("line", HERE)
def test_a_command_works_when_it_is_pasted(
    line: str, folder: Path, tmp_path: Path, octa: OctaClient, emulator: EmulatorHandle, cli: Callable[..., Any]
) -> None:
    if line.startswith(("octa-provider sheet", "octa-provider video", "octa-provider frames")):
        frames_for(line, folder)
    if "UUID" in line:
        rental = octa.rentals.start(MachineRequest("ubuntu:24.04", start_command="echo hello"), key="docs/pasted")
        line = line.replace("UUID", rental.uuid)
        if " logs " in line:
            rental.stop()
    if "/etc/octa/key" in line:
        (tmp_path / "key").write_text(emulator.api_key)
        (tmp_path / "key").chmod(0o600)
        line = line.replace("/etc/octa/key", str(tmp_path / "key"))
    ((_, *words),) = pasted(line, tmp_path)
    shown = cli(*words)
    # An emulated machine has no card, and most that run the tests have none.
    assert shown.status in ((0, 127) if line.endswith("nvidia-smi") else (0,)), shown.err
    assert emulator.ledger()["running"] == 0


def frames_for(line: str, folder: Path) -> None:
    """All the frames that such a command looks at."""
    place = folder / ("frames" if line.startswith("octa-provider frames frames") else "out")
    (place / "depth").mkdir(parents=True)
    for frame in range(1, 241):
        if "beauty_" in line:
            (place / f"beauty_{frame:04d}.exr").write_bytes(frame_exr(frame, 64, 36, {}))
            (place / "depth" / f"{frame:04d}.exr").write_bytes(frame_exr(frame, 64, 36, {}))
        else:
            (place / f"frame_{frame:04d}.png").write_bytes(frame_png(frame, 64, 36, {}))
