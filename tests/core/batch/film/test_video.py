"""A video is made of checked frames alone, is as long as they are, and shows each in its place."""

from __future__ import annotations

import stat
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from drawn_film import damage, draw_film

from octa_provider.batch.film.ffmpeg import find_ffmpeg
from octa_provider.batch.film.video import FramesNotWholeError, make_video
from octa_provider.errors import OctaConfigError, OctaLocalFileError

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def pictures_of(video: Path) -> list[np.ndarray]:
    """The frames of a video, decoded."""
    reader = imageio_ffmpeg.read_frames(str(video))
    wide, high = next(reader)["size"]
    return [np.frombuffer(data, np.uint8).reshape(high, wide, 3) for data in reader]


def length_of(video: Path) -> Fraction:
    """How many seconds a video takes, as its film header (mvhd) has it."""
    data = video.read_bytes()
    at = data.index(b"mvhd") + 4
    assert data[at] == 0
    scale, length = (int.from_bytes(data[at + begin : at + begin + 4], "big") for begin in (12, 16))
    return Fraction(length, scale)


def ball(pixels: np.ndarray) -> int:
    """Which frame's ball a picture shows."""
    line = pixels[18].astype(int).sum(axis=1)
    bright = np.flatnonzero(line > line.min() + (line.max() - line.min()) // 2)
    return round((float(bright.mean()) - 4) / 3)


@pytest.mark.parametrize("fps", [24, 23.976, "30000/1001", 1, "12.5"])
def test_it_takes_frames_by_fps_seconds(tmp_path: Path, fps: Any) -> None:
    folder = draw_film(tmp_path / "out", range(1, 15))
    video = make_video(folder, fps=fps, ffmpeg=FFMPEG)
    assert video == folder / "preview.mp4"
    assert len(pictures_of(video)) == 14
    assert abs(length_of(video) - 14 / Fraction(str(fps))) <= Fraction(1, 1000)


@pytest.mark.parametrize(("name", "kind"), [("f_{:04d}.png", "uint8"), ("f_{:04d}.exr", "half"), ("f{}.tif", "uint16")])
def test_each_frame_is_in_its_place_in_its_colours(tmp_path: Path, name: str, kind: str) -> None:
    folder = draw_film(tmp_path / "out", range(1, 16), name=name, kind=kind)
    shown = pictures_of(make_video(folder, ffmpeg=FFMPEG))
    assert [ball(picture) for picture in shown] == list(range(1, 16))
    grey = 188 if kind == "half" else 128
    assert abs(int(shown[0][2, 60, 0]) - grey) <= 4


def test_frames_with_a_step_follow_each_other(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 16, 5))
    shown = pictures_of(make_video(folder, frames="1-11x5", ffmpeg=FFMPEG))
    assert [ball(picture) for picture in shown] == [1, 6, 11]


def test_odd_sides_get_one_more_line(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 4), width=63, height=37)
    shown = pictures_of(make_video(folder, ffmpeg=FFMPEG))
    assert [picture.shape for picture in shown] == [(38, 64, 3)] * 3
    assert abs(int(shown[0][37, 63, 0]) - int(shown[0][36, 62, 0])) <= 4


def test_wider_frames_are_shrunk(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 3), width=200, height=100)
    assert pictures_of(make_video(folder, width=50, ffmpeg=FFMPEG))[0].shape == (26, 50, 3)


@pytest.mark.parametrize("broken", ["missing", "cut", "empty"])
def test_it_is_refused_while_a_frame_is_not_whole(tmp_path: Path, broken: str) -> None:
    folder = draw_film(tmp_path / "out", range(1, 10))
    path = folder / "f_0004.png"
    path.write_bytes(b"" if broken == "empty" else path.read_bytes()[:-5])
    if broken == "missing":
        path.unlink()
    with pytest.raises(FramesNotWholeError, match=r"1 of 9 frames are not whole \(4\)") as caught:
        make_video(folder, ffmpeg=FFMPEG)
    assert caught.value.frames == "4"
    assert not (folder / "preview.mp4").exists()


def test_when_gaps_are_allowed_each_shows_the_frame_before_it_and_the_rest_keeps_its_time(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 13))
    for number in (4, 5, 12):
        (folder / f"f_{number:04d}.png").unlink()
    (folder / "f_0001.png").write_bytes(b"")
    video = make_video(folder, frames="1-12", allow_missing=True, ffmpeg=FFMPEG)
    assert [ball(picture) for picture in pictures_of(video)] == [2, 2, 3, 3, 3, 6, 7, 8, 9, 10, 11, 11]
    assert length_of(video) == Fraction(12, 24)


def test_pixels_that_are_damaged_are_noticed_and_the_video_that_was_there_stays(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 6), name="f_{:04d}.exr", kind="half")
    (folder / "preview.mp4").write_bytes(b"before")
    damage(folder / "f_0003.exr")
    with pytest.raises(FramesNotWholeError, match=r"frame 3 is not whole: f_0003.exr can't be decoded") as caught:
        make_video(folder, ffmpeg=FFMPEG)
    assert caught.value.frames == "3"
    assert (folder / "preview.mp4").read_bytes() == b"before"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    video = make_video(folder, allow_missing=True, ffmpeg=FFMPEG)
    assert [ball(picture) for picture in pictures_of(video)] == [1, 2, 2, 4, 5]


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_an_ffmpeg_that_loses_a_frame_and_says_nothing_is_found_out(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 6))
    lossy = script(
        tmp_path / "lossy",
        f'for last; do :; done; case "$last" in *.mp4) exec {FFMPEG} -t 0.1 "$@";; esac; exec {FFMPEG} "$@"',
    )
    # An input option before `-i` that was not asked for: it reads 0.1 s of the film.
    with pytest.raises(OctaLocalFileError, match=r"ffmpeg made [1-4] of 5 frames"):
        make_video(folder, ffmpeg=lossy)
    assert sorted(path.name for path in folder.iterdir()) == [f"f_{number:04d}.png" for number in range(1, 6)]


def test_what_ffmpeg_says_when_it_fails_is_told(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 6))
    broken = script(
        tmp_path / "broken",
        f'case "$*" in *-encoders*) exec {FFMPEG} "$@";; esac; echo "No space left on device" >&2; exit 1',
    )
    with pytest.raises(OctaLocalFileError, match="ffmpeg can't write the video: No space left on device"):
        make_video(folder, ffmpeg=broken)
    assert len(list(folder.iterdir())) == 5


def test_without_h264_it_writes_what_it_can(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 16))
    plain = script(
        tmp_path / "plain",
        f'case "$*" in *-encoders*) echo " V..... mpeg4  MPEG-4";; *) exec {FFMPEG} "$@";; esac',
    )
    video = make_video(folder, ffmpeg=plain)
    assert [ball(picture) for picture in pictures_of(video)] == list(range(1, 16))
    assert b"mp4v" in video.read_bytes()


def test_names_are_no_business_of_ffmpegs(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "it's -y\n%d", range(1, 4), name="-i 'x' {:04d}.png")
    assert len(pictures_of(make_video(folder, target=tmp_path / "a.mp4", ffmpeg=FFMPEG))) == 3


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_other_containers_are_chosen_by_their_names(tmp_path: Path, suffix: str) -> None:
    folder = draw_film(tmp_path / "out", range(1, 4))
    assert len(pictures_of(make_video(folder, target=tmp_path / f"a{suffix}", ffmpeg=FFMPEG))) == 3


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"fps": 0}, "fps must be a number above 0"),
        ({"fps": "fast"}, "fps must be a number above 0"),
        ({"fps": "1/0"}, "fps must be a number above 0"),
        ({"fps": float("nan")}, "fps must be a number above 0"),
        ({"fps": True}, "fps must be a number above 0"),
        ({"fps": 5000}, "fps must be a number above 0"),
        ({"width": 1}, "width must be a whole number from 2 to 16384"),
        ({"target": "a.png"}, "must end with .mp4 or .mov or .mkv"),
        ({"ffmpeg": "no-such-program"}, "there is no program no-such-program"),
        ({"ffmpeg": "false"}, "is no ffmpeg that works"),
        ({"ffmpeg": "echo"}, "has none of the encoders libx264"),
        ({"frames": "20-21"}, "nothing to show"),
    ],
)
def test_what_cant_work_is_refused(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    folder = draw_film(tmp_path / "out", range(1, 4))
    with pytest.raises(OctaConfigError, match=why):
        make_video(folder, **{"ffmpeg": FFMPEG, **options})
    assert len(list(folder.iterdir())) == 3


def test_the_systems_ffmpeg_comes_before_that_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == FFMPEG
    system = script(tmp_path / "ffmpeg", "exit 0")
    assert find_ffmpeg() == str(system)
    system.unlink()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(OctaConfigError, match="apt install ffmpeg, brew install ffmpeg"):
        find_ffmpeg()


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 4))
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "shot.mp4").write_bytes(b"before")
    (folder / "preview.mp4").symlink_to(tmp_path / "films" / "shot.mp4")
    make_video(folder, ffmpeg=FFMPEG)
    assert (folder / "preview.mp4").is_symlink()
    assert len(pictures_of(tmp_path / "films" / "shot.mp4")) == 3
