"""EXR, JPEG, TIFF and PNG: a whole one is whole, and one that was cut anywhere is not."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import pytest
from picture_bytes import FOLDER, PICTURES, exr, jpeg, picture, tiff
from PIL import Image

from octa_provider.render.containers import read_as_named, read_picture
from octa_provider.render.picture import BrokenPictureError, Picture
from octa_provider.render.pictures import broken_frames, flaw_of
from octa_provider.render.stamp import Stamp, stamp_of

BLENDERS = [name for name in PICTURES if name.startswith("blender")]
#: Bytes at a file's end that belong to nothing in it: Pillow fills its pages up.
PADDING = {"pillow_pages.tif": 9}
SMALL = 2000


def written(tmp_path: Path, data: bytes, name: str = "a.bin") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def flaw(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(BrokenPictureError) as caught:
        read_picture(written(tmp_path, data))
    return caught.value.flaw


@pytest.mark.parametrize("name", PICTURES)
def test_a_whole_picture_of_blender_openimageio_or_pillow_is_whole(name: str) -> None:
    found = read_picture(FOLDER / name)
    assert found.format == {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name[-3:].upper())
    assert flaw_of(FOLDER / name, name) == ""
    if found.format != "EXR":
        with Image.open(FOLDER / name) as opened:
            assert (found.width, found.height) == opened.size
            assert found.parts == getattr(opened, "n_frames", 1)


@pytest.mark.no_cover  # The same lines thousands of times: other tests count them.
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_is_cut_anywhere_is_not_whole(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, picture(name), name)
    size = path.stat().st_size - PADDING.get(name, 0)
    # Each length of a small one; of a larger one those near its ends, and some between.
    lengths = [at for at in range(size) if size <= SMALL or at < 300 or at >= size - 100 or at % 37 == 0]
    for length in reversed(lengths):
        os.truncate(path, length)
        with pytest.raises(BrokenPictureError):
            read_picture(path)
        assert flaw_of(path, name) != ""


@pytest.mark.parametrize("name", PICTURES)
def test_a_hole_where_the_end_should_be_is_seen(name: str, tmp_path: Path) -> None:
    """A full disk leaves a file of the right length whose end was never written."""
    path = written(tmp_path, picture(name), name)
    size = path.stat().st_size
    os.truncate(path, 120)
    os.truncate(path, size)
    with pytest.raises(BrokenPictureError):
        read_picture(path)


@pytest.mark.parametrize("name", PICTURES)
def test_what_goes_on_past_its_end_is_not_whole_but_for_a_tiff(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, picture(name) + b"\0")
    if name.endswith(".tif"):
        # Its directories may lie anywhere, and some writers fill the file up.
        assert read_picture(path).format == "TIFF"
    else:
        with pytest.raises(BrokenPictureError, match="goes on past the end"):
            read_picture(path)


@pytest.mark.parametrize("name", [name for name in BLENDERS if not name.endswith(".tif")])
def test_blenders_stamp_is_read(name: str) -> None:
    stamp = read_picture(FOLDER / name).stamp
    assert (stamp.frame, stamp.scene, stamp.camera) == (17, "Scène 2", "Camera")
    assert stamp.render_time_s is not None
    assert 0 <= stamp.render_time_s < 60


@pytest.mark.parametrize(
    ("texts", "stamp"),
    [
        ({}, Stamp()),
        ({"Frame": "0042", "RenderTime": "01:02:03.5"}, Stamp(frame=42, render_time_s=3723.5)),
        ({"Frame": "-3"}, Stamp(frame=-3)),
        ({"Frame": "17 of 20", "RenderTime": "soon", "Scene": ""}, Stamp()),
        ({"Frame": "9" * 400, "Scene": "\x1b[2Ja\nb"}, Stamp(scene="a b")),
        ({"Frame": "١٧", "Camera": "x" * 9000}, Stamp(camera="x" * 256)),
    ],
)
def test_a_stamp_is_what_makes_sense_of_a_strangers_texts(texts: dict[str, str], stamp: Stamp) -> None:
    assert stamp_of(texts) == stamp


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("oiio_window.exr", ("EXR", 50, 40, 1)),
        ("oiio_multipart.exr", ("EXR", 37, 21, 2)),
        ("oiio_multipart_tiled.exr", ("EXR", 37, 21, 2)),
        ("oiio_mip.exr", ("EXR", 37, 21, 1)),
        ("oiio_deep.exr", ("EXR", 6, 4, 1)),
        ("blender_multilayer.exr", ("EXR", 16, 12, 1)),
    ],
)
def test_an_exr_tells_its_size_and_parts(name: str, expected: tuple[str, int, int, int]) -> None:
    found = read_picture(FOLDER / name)
    assert (found.format, found.width, found.height, found.parts) == expected


def test_a_small_exr_is_whole_and_its_pixels_are_counted(tmp_path: Path) -> None:
    assert read_picture(written(tmp_path, exr())) == Picture("EXR", 4, 3, decoded_bytes=24)


TABLE = len(exr(chunks=False))
FIRST = TABLE + 24


@pytest.mark.parametrize(
    ("place", "data", "why"),
    [
        (4, b"\x03", "version of EXR"),
        (5, b"\xff", "version of EXR"),
        (TABLE, bytes(8), "never finished"),
        (TABLE, struct.pack("<Q", 5), "never finished"),
        (TABLE, b"\xff" * 8, "cut off"),
        (TABLE, struct.pack("<Q", FIRST + 16), "not where its table says"),
        (FIRST, struct.pack("<i", 7), "not where its table says"),
        (FIRST + 4, struct.pack("<i", 7), "size that can't be"),
        (FIRST + 4, struct.pack("<i", -1), "size that can't be"),
        (FIRST + 4, struct.pack("<i", 2**31 - 1), "size that can't be"),
        (TABLE - 1, b"x", "cut off|name has no end|damaged"),
        (8, b"channelz", "has no channels"),
    ],
)
def test_damage_of_an_exr_is_told(tmp_path: Path, place: int, data: bytes, why: str) -> None:
    whole = exr()
    with pytest.raises(BrokenPictureError, match=why):
        read_picture(written(tmp_path, whole[:place] + data + whole[place + len(data) :]))


def test_chunks_of_an_exr_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    data = bytearray(exr(height=2))
    second = TABLE + 16 + 8
    # The second line begins within the first, where its head was written.
    struct.pack_into("<Q", data, TABLE + 8, second)
    struct.pack_into("<ii", data, second, 1, 8)
    assert "over each other" in flaw(tmp_path, bytes(data))


@pytest.mark.parametrize("size", [(0, 3), (-5, 3), (2**30, 3)])
def test_an_exr_of_a_size_that_cant_be_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    assert "pixels" in flaw(tmp_path, exr(*size, chunks=False))


@pytest.mark.parametrize(
    "channels", [b"\0", b"Y\0" + bytes(16), b"Y" * 300, b"Y\0" + struct.pack("<iB3xii", 9, 0, 1, 1) + b"\0"]
)
def test_channels_that_cant_be_are_refused(tmp_path: Path, channels: bytes) -> None:
    assert "damaged" in flaw(tmp_path, exr(channels=channels))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_either_byte_order_and_size_is_whole_and_cut_anywhere_is_not(
    tmp_path: Path, order: str, big: bool
) -> None:
    data = tiff(order=order, big=big)
    assert read_picture(written(tmp_path, data)) == Picture("TIFF", 4, 3, decoded_bytes=12)
    for length in range(len(data)):
        assert flaw(tmp_path, data[:length]) != ""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (tiff(following=8), "in a circle"),
        (tiff(fields={330: 8}), "in a circle"),
        (tiff(fields={34665: 2**31}), "cut off"),
        (tiff(following=2**31), "cut off"),
        (tiff(fields={257: 2**31}), "pixels"),
        (tiff(fields={257: 0}), "pixels"),
        (tiff(fields={278: 1}), "missing"),
        (tiff(fields={278: 0}), "no rows"),
        (tiff(fields={279: 0}), "never finished"),
        (tiff(fields={279: 11}), "size that can't be"),
        (tiff(fields={279: 13}), "cut off"),
        (tiff(fields={273: 2**32 - 1}), "cut off"),
        (tiff(fields={258: 0}), "samples"),
        (tiff(fields={277: 2**20}), "samples"),
        (tiff(fields={324: 8, 325: 8}), "field 322"),
        (tiff(fields={322: 0, 323: 4, 324: 8, 325: 8}), "tiles have no size"),
        (tiff(fields={257: 2**22, 278: 1}), "more than"),
        (b"MM\0*" + bytes(8), "never finished"),
        (b"II+\0\x07\0\0\0" + bytes(8), "version of TIFF"),
        (b"II*\0\x08\0\0\0\xff\xff" + bytes(2000), "cut off"),
    ],
)
def test_damage_of_a_tiff_is_told(tmp_path: Path, data: bytes, why: str) -> None:
    assert why in flaw(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (jpeg(end=b""), "cut off"),
        (jpeg(end=b"\xff"), "cut off"),
        (jpeg(end=b"\xff\xd9\0"), "past the end"),
        (jpeg(end=b"\xff\xe0\0\0\xff\xd9"), "length is wrong"),
        (jpeg(end=b"\xff\xe0\xff\xff\xff\xd9"), "cut off"),
        (jpeg(scan=b""), "no pixels"),
        (jpeg(width=0), "0x3 pixels"),
        (b"\xff\xd8\xff\xd9", "no pixels"),
        (b"\xff\xd8\xff\xda\0\x02\0\xff\xd9", "no JPEG header"),
        (b"\xff\xd8\xff\xd0", "mark stands"),
        (b"\xff\xd8\xff\xe0\0\x02\0\0", "mark is missing"),
        (b"\xff\xd8" + b"\xff" * 5000, "mark is missing"),
        (b"\xff\xd8\xff\xc0\0\x04\0\0", "header is wrong"),
        (b"\xff\xd8" + b"\xff\xe0\0\x02" * 10_001, "segments"),
    ],
)
def test_damage_of_a_jpeg_is_told(tmp_path: Path, data: bytes, why: str) -> None:
    assert why in flaw(tmp_path, data)


def test_a_jpeg_whose_scan_is_longer_than_a_piece_is_whole_wherever_its_marks_fall(tmp_path: Path) -> None:
    for pad in range(5):
        scan = b"\x01" * pad + b"\xff\x00" * 300_000
        assert read_picture(written(tmp_path, jpeg(scan=scan))).format == "JPEG"


def test_a_jpeg_that_holds_more_pictures_may_go_on(tmp_path: Path) -> None:
    data = jpeg()
    more = b"\xff\xe2\0\x06MPF\0"
    assert read_picture(written(tmp_path, data[:2] + more + data[2:] + data)).width == 4


def test_a_picture_of_another_format_than_its_name_says_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, picture("blender.png"), "frame_0017.exr")
    with pytest.raises(BrokenPictureError, match="of the format PNG, not the EXR that its name says"):
        read_as_named(path, path)
    assert read_as_named(path, "a.png").format == "PNG"
    # Of a job's files nobody knows what they are for: a whole picture is a whole picture.
    assert flaw_of(path, path) == ""


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.exr", exr()[:-1], "is cut off"),
        ("a.EXR", b"\x76\x2f", "is no EXR"),
        ("a.exr", bytes(5000), "is no EXR"),
        ("a.jpeg", jpeg(end=b""), "is cut off"),
        ("a.tiff", tiff()[:-1], "is cut off"),
        ("a.png", b"<html>disk full</html>", "is no PNG"),
        ("a.tga", b"", "is empty"),
        ("a.webp", exr()[:-1], "is cut off"),
        ("a.tga", b"anything", ""),
        ("a.jpg", b"RIFF....WEBP", ""),
        ("a.jpg", b"\0\0\0\x1cftypavif", ""),
        ("a.txt", b"", ""),
    ],
)
def test_a_file_named_as_a_picture_takes_no_place_unless_it_is_whole(
    tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    assert flaw_of(written(tmp_path, data), name) == why


def test_frames_of_any_format_can_be_asked_for(tmp_path: Path) -> None:
    written(tmp_path, exr(), "f_0001.exr")
    written(tmp_path, exr()[:-1], "f_0002.exr")
    written(tmp_path, exr(5), "f_0003.exr")
    written(tmp_path, exr(), "f_0004.exr")
    broken = broken_frames(tmp_path, range(1, 5), name="f_{:04d}.exr")
    assert list(broken) == [2, 3]
    assert broken[3].endswith("is 5x3 pixels, not 4x3")


def test_a_pipe_is_no_picture_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(BrokenPictureError, match="is no file"):
        read_picture(tmp_path / "a.png")


def test_the_error_crosses_processes_with_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(BrokenPictureError) as caught:
        read_picture(tmp_path / "none.png")
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.flaw == "can't be read: No such file or directory"


@pytest.mark.parametrize(
    "data",
    [
        exr(2**23, 2**23, chunks=False),
        exr(16, 2**20 + 1, chunks=False),
        exr(chunks=False, channels=b"Y" * 200 + b"\0" + bytes(10**6)),
        exr(chunks=False)[:8] + b"a\0b\0\0\0\0\0" * 100_000,
        b"\x76\x2f\x31\x01\x02\x10\0\0" + exr(chunks=False)[8:] * 5_000,
        tiff(fields={256: 2**24, 257: 2**24, 278: 1}),
        b"\x89PNG\r\n\x1a\n\x7f\xff\xff\xffIHDR",
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 300_000,
    ],
    ids=["exr-pixels", "exr-lines", "exr-channels", "exr-attributes", "exr-parts", "tiff-strips", "png", "jpeg"],
)
def test_what_a_stranger_promises_costs_no_memory(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    del data
    tracemalloc.start()
    try:
        with pytest.raises(BrokenPictureError):
            read_picture(path)
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_sparse_file_of_100_gb_is_not_read_whole(tmp_path: Path) -> None:
    for name in ("blender_zip.exr", "blender_none.tif", "blender.png"):
        path = written(tmp_path, picture(name), name)
        os.truncate(path, 100 * 2**30)
        flaw_of(path, name)
