"""Rendered frames: missing, empty, cut off, damaged, of another size."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from octa_provider.errors import OctaConfigError
from octa_provider.render.picture import BrokenPictureError
from octa_provider.render.pictures import broken_frames, png_size


def png(width: int = 4, height: int = 3) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    rows = b"".join(b"\x00" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tEXt", b"Frame\x001")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(1, 6):
        (tmp_path / f"frame_{number:04d}.png").write_bytes(png())
    return tmp_path


def test_a_whole_picture_tells_its_size(folder: Path) -> None:
    assert png_size(folder / "frame_0001.png") == (4, 3)


@pytest.mark.parametrize("cut", range(1, len(png())))
def test_a_picture_that_is_cut_off_anywhere_is_broken(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png()[:-cut])
    with pytest.raises(BrokenPictureError):
        png_size(path)


@pytest.mark.parametrize("place", range(len(png())))
def test_a_byte_that_was_damaged_anywhere_is_seen(tmp_path: Path, place: int) -> None:
    data = bytearray(png())
    data[place] ^= 0x10
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(BrokenPictureError):
        png_size(path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"GIF89a and more", "is no PNG"),
        (png() + b"\x00", "goes on past the end"),
        (png(0, 3), "is 0x3 pixels"),
        (png()[:8] + png()[-12:], "has no PNG header"),
        (png()[:33] + png()[-12:], "has no pixels"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(BrokenPictureError, match=why):
        png_size(path)


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(BrokenPictureError, match="can't be read"):
        png_size(tmp_path)


def test_all_is_well(folder: Path) -> None:
    assert broken_frames(folder, range(1, 6)) == {}


def test_what_is_missing_cut_off_or_of_another_size_is_told_by_its_number(folder: Path) -> None:
    (folder / "frame_0001.png").unlink()
    (folder / "frame_0003.png").write_bytes(png()[:40])
    (folder / "frame_0004.png").write_bytes(png(8, 3))
    broken = broken_frames(folder, range(1, 6))
    assert list(broken) == [1, 3, 4]
    assert "No such file" in broken[1]
    assert "cut off" in broken[3]
    assert "8x3 pixels, not 4x3" in broken[4]


def test_frames_of_an_earlier_render_count_as_missing(folder: Path) -> None:
    made = [folder / "frame_0002.png", str(folder / "frame_0004.png")]
    broken = broken_frames(folder, range(1, 6), made=made)
    assert list(broken) == [1, 3, 5]
    assert all(why.endswith("was not made by this render") for why in broken.values())
    assert broken_frames(folder, [2, 4], made=made) == {}
    assert list(broken_frames(folder, [2], made=[])) == [2]


def test_of_what_was_made_too_each_frame_must_be_whole(folder: Path) -> None:
    (folder / "frame_0002.png").write_bytes(png()[:40])
    (folder / "frame_0004.png").unlink()
    made = [folder / f"frame_{number:04d}.png" for number in range(1, 6)]
    broken = broken_frames(folder, range(1, 6), made=made)
    assert list(broken) == [2, 4]
    assert "cut off" in broken[2]
    assert "No such file" in broken[4]


def test_seven_frames_of_ten_are_three_too_few(tmp_path: Path) -> None:
    made = [tmp_path / f"frame_{number:04d}.png" for number in range(1, 8)]
    for path in made:
        path.write_bytes(png())
    assert list(broken_frames(tmp_path, range(1, 11))) == [8, 9, 10]
    assert list(broken_frames(tmp_path, range(1, 11), made=made)) == [8, 9, 10]


def test_the_size_that_most_have_is_that_of_what_was_made(folder: Path) -> None:
    # Three of the earlier render, two of this one: the size of the earlier ones is nobody's measure.
    made = [folder / "frame_0001.png", folder / "frame_0002.png"]
    for path in made:
        path.write_bytes(png(8, 6))
    assert list(broken_frames(folder, range(1, 6), made=made)) == [3, 4, 5]


@pytest.mark.parametrize("way", ["relative", "dots", "link", "home"])
def test_what_was_made_is_known_however_its_folder_is_written(
    folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [folder / "frame_0001.png"]
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    link = folder.parent / f"{folder.name}-link"
    link.symlink_to(folder)
    written = {"relative": folder.name, "dots": f"{folder}/../{folder.name}", "link": link, "home": f"~/{folder.name}"}
    assert list(broken_frames(written[way], [1, 2], made=made)) == [2]
    # And the other way round.
    there = Path(written[way]) / "frame_0001.png"
    assert list(broken_frames(folder, [1, 2], made=[there])) == [2]


def test_the_size_that_was_asked_for_counts(folder: Path) -> None:
    assert broken_frames(folder, [1, 2], size=(4, 3)) == {}
    assert list(broken_frames(folder, [1, 2], size=(320, 180))) == [1, 2]


def test_a_name_of_ones_own(folder: Path) -> None:
    assert list(broken_frames(folder, [1, 9], name="frame_000{}.png")) == [9]
    with pytest.raises(OctaConfigError, match="no format"):
        broken_frames(folder, [1], name="{frame}.png")


def test_nothing_asked_for_nothing_missing(tmp_path: Path) -> None:
    assert broken_frames(tmp_path, []) == {}


def test_a_name_without_a_place_for_the_number_is_refused(folder: Path) -> None:
    with pytest.raises(OctaConfigError, match="names several frames alike"):
        broken_frames(folder, [1, 2], name="frame.png")
