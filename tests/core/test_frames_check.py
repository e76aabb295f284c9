"""All frames of a folder: which are whole, which are not, and why."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from pathlib import Path

import pytest
from picture_bytes import exr, picture

from octa_provider.errors import OctaConfigError
from octa_provider.frames import parse
from octa_provider.pictures import FramesCheck, check_frames
from octa_provider.render.frame_files import FilePattern, find_patterns


def png(frame: int | None = None, scene: str = "Scene", *, width: int = 4, height: int = 3) -> bytes:
    """A PNG with the stamp that Blender gives it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    stamp = b""
    if frame is not None:
        stamp = chunk(b"tEXt", b"Frame\0%04d" % frame) + chunk(b"tEXt", b"Scene\0" + scene.encode())
    rows = b"".join(b"\x00" + b"\x80" * width for _ in range(height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + stamp
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(1, 6):
        (tmp_path / f"frame_{number:04d}.png").write_bytes(png(number))
    return tmp_path


def flaws(check: FramesCheck) -> dict[int, str]:
    return {file.frame: file.flaw for file in check.flawed}


def test_all_is_well(folder: Path) -> None:
    check = check_frames(folder, "1-5")
    assert check.whole
    assert check.whole_frames == (1, 2, 3, 4, 5)
    assert check.patterns == ("frame_{frame:04d}.png",)
    first = check.files[0]
    data = (folder / first.name).read_bytes()
    assert (first.name, first.bytes) == ("frame_0001.png", len(data))
    assert first.sha256 == hashlib.sha256(data).hexdigest()
    assert first.picture is not None
    assert (first.picture.format, first.picture.width, first.picture.height) == ("PNG", 4, 3)
    assert check.bytes == sum(len((folder / file.name).read_bytes()) for file in check.files)


def test_each_frame_that_is_not_whole_is_told_with_what_is_wrong(folder: Path) -> None:
    (folder / "frame_0001.png").unlink()
    (folder / "frame_0002.png").write_bytes(png(2)[:-20])
    (folder / "frame_0003.png").write_bytes(png(3, width=8))
    (folder / "frame_0004.png").write_bytes(png(5))
    (folder / "frame_0006.png").write_bytes(png(6, "Scene.001"))
    (folder / "frame_0007.png").write_bytes(exr())
    (folder / "frame_0008.png").write_bytes(b"")
    (folder / "frame_0009.png").mkdir()
    check = check_frames(folder, "1-9")
    assert not check.whole
    assert check.whole_frames == (5,)
    assert check.missing_frames == (1,)
    found = flaws(check)
    assert found.pop(6) == "is of the scene 'Scene.001', not 'Scene'"
    assert found == {
        1: "is missing",
        2: "is cut off",
        3: "is 8x3 pixels, not 4x3",
        4: "is stamped as frame 5",
        7: "is a picture of the format EXR, not the PNG that its name says",
        8: "is empty",
        9: "can't be read: Is a directory",
    }
    assert check.broken_frames[2] == "frame_0002.png is cut off"


def test_without_a_range_the_gaps_are_told(folder: Path) -> None:
    (folder / "frame_0003.png").unlink()
    check = check_frames(folder)
    assert check.frames == (1, 2, 3, 4, 5)
    assert check.missing_frames == (3,)


def test_the_size_and_the_scene_that_were_asked_for_count(folder: Path) -> None:
    assert not check_frames(folder, size=(8, 6)).whole_frames
    assert check_frames(folder, size=(4, 3), scene="Scene").whole
    assert set(flaws(check_frames(folder, scene="Other")).values()) == {"is of the scene 'Scene', not 'Other'"}


def test_pictures_without_a_stamp_go_by_their_names(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(png())
    assert check_frames(tmp_path, [2, 1], patterns="{frame}.png").whole


def test_a_frame_of_several_files_is_whole_when_each_is(folder: Path) -> None:
    (folder / "depth").mkdir()
    for number in range(1, 6):
        (folder / "depth" / f"{number:03d}.exr").write_bytes(exr(8, 6))
    patterns = ["frame_####.png", "depth/###.exr"]
    assert check_frames(folder, "1-5", patterns=patterns).whole
    assert check_frames(folder, patterns=patterns).frames == (1, 2, 3, 4, 5)
    (folder / "depth" / "004.exr").write_bytes(exr(8, 6)[:-1])
    check = check_frames(folder, parse("1-5"), patterns=patterns)
    assert check.broken_frames == {4: "depth/004.exr is cut off"}
    assert [file.name for file in check.files[:2]] == ["frame_0001.png", "depth/001.exr"]


def test_patterns_are_guessed_from_what_most_frames_have(folder: Path) -> None:
    for number in range(1, 5):
        (folder / f"frame_{number:04d}_z.png").write_bytes(png(number))
        (folder / f"matte{number}.exr").write_bytes(exr())
    (folder / "texture_2.png").write_bytes(png())
    (folder / "sheet.png").write_bytes(png())
    (folder / "odd_{}_1.png").write_bytes(png())
    found = find_patterns(folder)
    assert [pattern.text for pattern in found.patterns] == ["frame_{frame:04d}.png", "matte{frame}.exr"]
    assert found.others == ("odd_{}_1.png", "texture_2.png")
    check = check_frames(folder, "1-5")
    assert check.broken_frames == {5: "matte5.exr is missing"}
    assert check.others == found.others


def test_frames_past_the_width_of_their_numbers_are_found(tmp_path: Path) -> None:
    for number in (9998, 9999, 10000):
        (tmp_path / f"f{number:04d}.png").write_bytes(png(number))
    check = check_frames(tmp_path)
    assert check.whole
    assert check.frames == (9998, 9999, 10000)


def test_blenders_own_frame_is_whole_as_the_frame_that_it_is(tmp_path: Path) -> None:
    for name in ("blender.png", "blender_zip.exr", "blender_multilayer.exr", "blender.jpg"):
        (tmp_path / f"0017{Path(name).suffix}").write_bytes(picture(name))
        (tmp_path / f"0018{Path(name).suffix}").write_bytes(picture(name))
        check = check_frames(tmp_path, "17,18", patterns=f"{{frame:04d}}{Path(name).suffix}")
        assert flaws(check) == {18: "is stamped as frame 17"}


def test_what_was_found_is_json(folder: Path) -> None:
    (folder / "frame_0002.png").unlink()
    told = json.loads(json.dumps(check_frames(folder).to_dict()))
    assert told["whole"] is False
    assert told["missing_frames"] == [2]
    assert told["broken_frames"] == {"2": "frame_0002.png is missing"}
    assert told["files"][0]["stamp_frame"] == 1
    assert told["files"][0]["stamp_scene"] == "Scene"
    assert told["files"][1]["sha256"] is None
    assert check_frames(folder, "1", hashes=False).files[0].sha256 == ""


def test_nothing_is_changed_and_a_link_in_a_circle_is_a_flaw(folder: Path) -> None:
    (folder / "frame_0006.png").symlink_to("frame_0006.png")
    before = sorted(path.name for path in folder.iterdir())
    check = check_frames(folder, "1-6", patterns="frame_{frame:04d}.png")
    assert list(check.broken_frames) == [6]
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_pipe_at_a_frames_name_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "frame_0006.png")
    assert flaws(check_frames(folder)) == {6: "is no file"}


def test_an_empty_folder_needs_to_be_told_what_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OctaConfigError, match="holds no frames: say which"):
        check_frames(tmp_path)
    with pytest.raises(OctaConfigError, match="holds no frame of that name"):
        check_frames(tmp_path, patterns="f_####.exr")
    assert check_frames(tmp_path, "3-4").broken_frames == {
        3: "frame_0003.png is missing",
        4: "frame_0004.png is missing",
    }


def test_a_name_with_a_huge_number_does_not_ask_for_a_billion_frames(folder: Path) -> None:
    (folder / "frame_999999999.png").write_bytes(png())
    with pytest.raises(OctaConfigError, match="run from 1 to 999999999"):
        check_frames(folder)


@pytest.mark.parametrize(
    "pattern", ["frame.png", "../f_####.png", "/f_####.png", "a/####/../../x.png", "f_{frame}_{x}.png", "####/", ""]
)
def test_a_pattern_without_a_place_or_that_leads_out_of_the_folder_is_refused(folder: Path, pattern: str) -> None:
    with pytest.raises(OctaConfigError):
        check_frames(folder, "1-5", patterns=pattern)


@pytest.mark.parametrize(
    ("text", "frame", "name"),
    [
        ("f_{frame:04d}.png", 7, "f_0007.png"),
        ("f_{frame:4d}.png", 7, "f_0007.png"),
        ("f_{frame}.png", 7, "f_7.png"),
        ("f_{frame:d}.png", 7, "f_7.png"),
        ("f_##.png", 123, "f_123.png"),
        ("{frame:03d}/f_{frame}.png", 7, "007/f_7.png"),
        ("f_####.png", -7, "f_-007.png"),
    ],
)
def test_a_pattern_names_a_frames_file_and_finds_it(tmp_path: Path, text: str, frame: int, name: str) -> None:
    pattern = FilePattern(text)
    assert pattern.name(frame) == name
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    (tmp_path / f"{name}.part").touch()
    assert list(pattern.frames_in(tmp_path)) == [frame]


def test_what_is_no_folder_or_no_range_is_refused(folder: Path) -> None:
    with pytest.raises(OctaConfigError, match="is no folder"):
        check_frames(folder / "frame_0001.png")
    with pytest.raises(OctaConfigError, match="is no folder"):
        check_frames(folder / "none", "1-5")
    with pytest.raises(OctaConfigError, match="no frames are asked for"):
        check_frames(folder, [])
    with pytest.raises(OctaConfigError, match="at least one pattern"):
        check_frames(folder, "1", patterns=[])
    with pytest.raises(OctaConfigError, match="frame range"):
        check_frames(folder, "5-1")
