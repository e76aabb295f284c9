"""`octa-provider video`: 0 when it was made, 3 while frames are not whole. Without account or network."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import imageio_ffmpeg
import pytest

from octa_provider.cli import main
from tests.forked_python import start_python

PICTURE = Path(__file__).resolve().parents[1] / "data" / "pictures" / "oiio_tiled.exr"


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OCTA_API_KEY", raising=False)
    folder = tmp_path / "out"
    folder.mkdir()
    for number in range(1, 7):
        shutil.copy(PICTURE, folder / f"f_{number:04d}.exr")
    return folder


def test_whole_frames_become_a_video(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["video", str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'preview.mp4'}: 6 frames, 24 a second\n"
    assert imageio_ffmpeg.count_frames_and_secs(str(out / "preview.mp4")) == (6, 0.25)


def test_a_gap_ends_with_3_and_an_option_shows_the_frame_before(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "f_0003.exr").unlink()
    assert main(["video", str(out)]) == 3
    said = capsys.readouterr()
    assert (said.out, (out / "preview.mp4").exists()) == ("", False)
    assert said.err == (
        "octa-provider: 1 of 6 frames are not whole (3): render them first, "
        "or let each be shown as the frame before it (--allow-missing)\n"
    )
    assert main(["video", str(out), "--allow-missing"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["not whole, shown as the frame before: 3"]
    assert imageio_ffmpeg.count_frames_and_secs(str(out / "preview.mp4"))[0] == 6


def test_options_choose_the_file_and_the_rate(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = out / "shot.mov"
    words = ["--to", str(target), "--fps", "12", "--width", "20", "--frames", "1-3", "--ffmpeg"]
    assert main(["video", str(out), "--json", *words, imageio_ffmpeg.get_ffmpeg_exe()]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(target), "frames": 3, "fps": "12", "not_whole": ""}
    assert imageio_ffmpeg.count_frames_and_secs(str(target)) == (3, 0.25)


def test_a_signal_ends_it_and_leaves_nothing_half_made(out: Path) -> None:
    before = sorted(path.name for path in out.iterdir())
    slow, begun = out.parent / "slow", out.parent / "begun"
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *-encoders*) exec {imageio_ffmpeg.get_ffmpeg_exe()} "$@";; esac\n'
        f"touch {begun}; exec sleep 300\n"
    )
    slow.chmod(0o755)
    process = start_python([sys.executable, "-m", "octa_provider", "video", str(out), "--ffmpeg", str(slow)])
    until = time.monotonic() + 600
    while not begun.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    process.terminate()
    assert process.wait(600) == 143
    assert sorted(path.name for path in out.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "why"),
    [(("--fps", "0"), "fps must be a number above 0"), (("--ffmpeg", "no-such"), "there is no program no-such")],
)
def test_what_cant_work_ends_with_2(
    out: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    assert main(["video", str(out), *words]) == 2
    assert why in capsys.readouterr().err
