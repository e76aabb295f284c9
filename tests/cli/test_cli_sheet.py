"""`octa-provider sheet`: the frames of a folder on one picture, without account or network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from octa_provider.cli import main

PICTURE = Path(__file__).resolve().parents[1] / "data" / "pictures" / "oiio_tiled.exr"


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OCTA_API_KEY", raising=False)
    for number in (1, 2, 4):
        shutil.copy(PICTURE, tmp_path / f"f_{number:04d}.exr")
    return tmp_path


def test_it_says_what_it_wrote_and_which_frames_are_gaps(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sheet", str(out), "--frames", "1-5"]) == 0
    assert capsys.readouterr().out == f"{out / 'sheet.png'}: 5 of 5 frames\nnot whole: 3,5\n"
    assert (out / "sheet.png").read_bytes()[:4] == b"\x89PNG"


def test_options_choose_the_file_the_frames_and_their_size(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = out / "review.jpg"
    words = ["--to", str(target), "--pattern", "f_####.exr", "--most", "2", "--columns", "1", "--width", "10", "--json"]
    assert main(["sheet", str(out), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(target), "frames": 4, "shown": 2, "not_whole": "3"}
    assert target.read_bytes()[:3] == b"\xff\xd8\xff"


def test_what_cant_work_ends_with_2(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sheet", str(out / "none")]) == 2
    assert main(["sheet", str(out), "--to", str(out / "f_0001.exr")]) == 2
    assert main(["sheet", str(out), "--columns", "0"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"octa-provider: {out / 'none'} is no folder: give the one where the frames are",
        f"octa-provider: {out / 'f_0001.exr'} must end with .png or .jpg or .jpeg",
        "octa-provider: columns must be a whole number from 1 to 1000, not 0",
    ]
