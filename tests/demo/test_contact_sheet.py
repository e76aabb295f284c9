"""A frame that is not what was ordered never gets on the contact sheet unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from demo.contact_sheet import FrameError, check_frames, frame_path, read_frame, write_contact_sheet

SIZE = (64, 36)


def draw_frame(folder: Path, number: int, size: tuple[int, int] = SIZE, dot_at: int | None = None) -> Path:
    picture = Image.new("RGB", size, "navy")
    left = number if dot_at is None else dot_at
    ImageDraw.Draw(picture).ellipse((left, 4, left + 20, 24), fill="orange")
    path = frame_path(folder, number)
    picture.save(path)
    return path


def test_good_frames_are_good(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        draw_frame(tmp_path, number)
    frames, problems = check_frames(tmp_path, [1, 2, 3], SIZE)
    assert [frame.number for frame in frames] == [1, 2, 3]
    assert problems == []


def test_a_missing_frame_is_told_and_the_others_are_kept(tmp_path: Path) -> None:
    draw_frame(tmp_path, 1)
    draw_frame(tmp_path, 3)
    frames, problems = check_frames(tmp_path, [1, 2, 3], SIZE)
    assert [frame.number for frame in frames] == [1, 3]
    assert len(problems) == 1
    assert problems[0].startswith("frame 2 is missing")


def test_an_empty_file_is_not_a_frame(tmp_path: Path) -> None:
    frame_path(tmp_path, 1).write_bytes(b"")
    with pytest.raises(FrameError, match="frame 1 is not a PNG"):
        read_frame(tmp_path, 1, SIZE)


def test_a_jpeg_with_the_wrong_name_is_not_a_frame(tmp_path: Path) -> None:
    Image.new("RGB", SIZE, "red").save(frame_path(tmp_path, 1), format="JPEG")
    with pytest.raises(FrameError, match="not a PNG"):
        read_frame(tmp_path, 1, SIZE)


def test_half_a_picture_is_not_a_frame(tmp_path: Path) -> None:
    path = draw_frame(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:120])
    with pytest.raises(FrameError, match="not a whole picture"):
        read_frame(tmp_path, 1, SIZE)


def test_a_frame_of_another_size_is_told(tmp_path: Path) -> None:
    draw_frame(tmp_path, 1, (32, 18))
    with pytest.raises(FrameError, match="32x18, not 64x36"):
        read_frame(tmp_path, 1, SIZE)


def test_a_frame_of_one_colour_is_blank(tmp_path: Path) -> None:
    Image.new("RGB", SIZE, "black").save(frame_path(tmp_path, 1))
    with pytest.raises(FrameError, match="frame 1 is blank"):
        read_frame(tmp_path, 1, SIZE)


def test_the_same_picture_twice_is_told(tmp_path: Path) -> None:
    draw_frame(tmp_path, 1, dot_at=5)
    draw_frame(tmp_path, 2, dot_at=5)
    _, problems = check_frames(tmp_path, [1, 2], SIZE)
    assert problems == ["frame 2 is the same picture as frame 1"]


def test_the_sheet_holds_every_frame(tmp_path: Path) -> None:
    numbers = range(1, 9)
    for number in numbers:
        draw_frame(tmp_path, number)
    frames, _ = check_frames(tmp_path, list(numbers), SIZE)
    sheet = tmp_path / "new" / "sheet.png"
    write_contact_sheet(sheet, frames, dict.fromkeys(numbers, "node 7"), "eight frames", columns=4)
    with Image.open(sheet) as picture:
        # Four pictures across, two down, each with its gap.
        assert picture.width == 12 + 4 * (64 + 12)
        colours = picture.convert("RGB").getcolors(maxcolors=100_000)
    assert colours is not None
    orange = sum(count for count, colour in colours if colour == (255, 165, 0))
    assert orange > len(numbers) * 250
