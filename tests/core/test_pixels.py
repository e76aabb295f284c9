"""What only decoding tells, by OpenImageIO: the extra `pictures`."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy
import OpenImageIO
import pytest
from picture_bytes import FOLDER, PICTURES, exr

from octa_provider.batch.film.shown_picture import shown_picture
from octa_provider.errors import OctaConfigError
from octa_provider.pictures import check_frames
from octa_provider.render.containers import read_picture
from octa_provider.render.pixels import flaw_of_pixels


def write(path: Path, pixels: numpy.ndarray, *names: str, tile: int = 0, kind: str = "half") -> Path:
    height, width, channels = pixels.shape
    spec = OpenImageIO.ImageSpec(width, height, channels, kind)
    if names:
        spec.channelnames = names
    spec.tile_width = spec.tile_height = tile
    output = OpenImageIO.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(pixels), output.geterror()
    output.close()
    return path


def noise(channels: int = 3) -> numpy.ndarray:
    return numpy.random.default_rng(1).random((40, 50, channels), dtype=numpy.float32)


def flaw(path: Path) -> str:
    return flaw_of_pixels(path, read_picture(path))


@pytest.mark.parametrize("name", PICTURES)
def test_a_whole_picture_decodes_to_the_size_that_its_container_tells(name: str) -> None:
    found = read_picture(FOLDER / name)
    opened = OpenImageIO.ImageInput.open(str(FOLDER / name))
    spec = opened.spec()
    assert (found.width, found.height) == (spec.full_width, spec.full_height)
    subimages = 0
    while opened.seek_subimage(subimages, 0):
        subimages += 1
    assert found.parts == subimages
    assert flaw_of_pixels(FOLDER / name, found) == ""


@pytest.mark.parametrize("tile", [0, 16])
@pytest.mark.parametrize("end", ["exr", "tif"])
def test_one_colour_throughout_is_told_whatever_the_alpha(tmp_path: Path, end: str, tile: int) -> None:
    pixels = noise(4)
    pixels[..., :3] = (0.25, 0.5, 0)
    path = write(tmp_path / f"a.{end}", pixels, tile=tile, kind="half" if end == "exr" else "float")
    assert flaw(path) == "is of one colour throughout: 0.25, 0.5, 0"
    pixels[39, 49, 1] = 0.75
    assert flaw(write(path, pixels, tile=tile, kind="float")) == ""


def test_a_black_picture_is_told_though_its_depth_is_not(tmp_path: Path) -> None:
    pixels = noise(4)
    pixels[..., :3] = 0
    names = ("V.Combined.R", "V.Combined.G", "V.Combined.B", "V.Depth.Z")
    assert flaw(write(tmp_path / "a.exr", pixels, *names)) == "is of one colour throughout: 0, 0, 0"


def test_one_sample_that_is_no_number_is_told_in_any_channel(tmp_path: Path) -> None:
    for channel in range(4):
        pixels = noise(4)
        pixels[17, 23, channel] = numpy.nan
        assert flaw(write(tmp_path / "a.exr", pixels, "R", "G", "B", "Z")) == "holds NaN"
    pixels = noise()
    pixels[0, 0, 0] = numpy.inf
    # An infinite depth or light is none of our business.
    assert flaw(write(tmp_path / "a.exr", pixels)) == ""


def test_a_picture_in_pieces_is_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octa_provider.render.decoded_lines.PIECE_BYTES", 2000)
    pixels = noise() * 0 + numpy.float32(0.5)
    pixels[20:] = 0.25
    assert flaw(write(tmp_path / "a.exr", pixels)) == ""
    assert flaw(write(tmp_path / "b.exr", pixels, tile=16)) == ""
    pixels[:] = 0.5
    assert "of one colour" in flaw(write(tmp_path / "a.exr", pixels))


def test_a_container_that_is_whole_around_pixels_that_are_not_is_told(tmp_path: Path) -> None:
    data = bytearray((FOLDER / "blender_zip.exr").read_bytes())
    data[-150:-20] = bytes(130)
    path = tmp_path / "a.exr"
    path.write_bytes(data)
    assert flaw(path).startswith("can't be decoded: ")


def test_more_than_was_promised_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.exr", noise())
    small = tmp_path / "b.exr"
    small.write_bytes(exr())
    assert flaw_of_pixels(path, read_picture(small)) == "can't be decoded: it is not what its container says"
    monkeypatch.setattr("octa_provider.render.pixels.MOST_DECODED_BYTES", 1000)
    assert flaw(path) == "is too large to decode: 12000 bytes"


def test_what_is_no_picture_to_the_decoder_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(b"no")
    assert flaw_of_pixels(path, read_picture(FOLDER / "blender_zip.exr")).startswith("can't be decoded: ")


def test_frames_are_decoded_when_they_are_asked_to_be(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write(tmp_path / f"{number}.exr", noise() if number == 1 else noise() * 0)
    (tmp_path / "3.exr").write_bytes(b"")
    assert check_frames(tmp_path).broken_frames == {3: "3.exr is empty"}
    check = check_frames(tmp_path, decode=True)
    assert check.broken_frames == {2: "2.exr is of one colour throughout: 0, 0, 0", 3: "3.exr is empty"}


def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    with pytest.raises(OctaConfigError, match=r"pip install 'octa-provider\[pictures\]'"):
        check_frames(tmp_path, "1", decode=True)


def test_a_flat_depth_of_one_channel_is_of_one_colour(tmp_path: Path) -> None:
    line = struct.pack("<iB3xii", 1, 0, 1, 1)
    path = tmp_path / "a.exr"
    path.write_bytes(exr(channels=b"Z\0" + line + b"\0"))
    assert flaw(path) == ""
    assert "of one colour" in flaw(write(tmp_path / "b.exr", noise(1) * 0, "Z"))


def test_a_folder_whose_name_is_no_text_is_decoded_from(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"gr\xfcn")
    folder.mkdir()
    (folder / "frame_0001.png").write_bytes((FOLDER / "blender.png").read_bytes())
    picture = read_picture(folder / "frame_0001.png")
    assert flaw_of_pixels(folder / "frame_0001.png", picture) == ""
    assert shown_picture(folder / "frame_0001.png", picture).shape == (picture.height, picture.width, 3)
