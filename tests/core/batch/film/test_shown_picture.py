"""A frame as a screen shows it, whatever its format, its layers and its windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_film import write_picture

from octa_provider.batch.film.shown_picture import fitted, shown_picture
from octa_provider.render.containers import read_picture
from octa_provider.render.picture import BrokenPictureError, Picture

PICTURES = Path(__file__).resolve().parents[3] / "data" / "pictures"
REAL = sorted(path.name for path in PICTURES.iterdir() if path.name != "oiio_deep.exr")


@pytest.mark.parametrize("name", REAL)
def test_every_kind_of_picture_is_shown_at_its_size_and_smaller(name: str) -> None:
    picture = read_picture(PICTURES / name)
    assert shown_picture(PICTURES / name, picture).shape == (picture.height, picture.width, 3)
    small = shown_picture(PICTURES / name, picture, (5, 3))
    assert (small.shape, small.dtype) == ((3, 5, 3), np.uint8)


@pytest.mark.parametrize("name", ["blender_zip.exr", "blender_dwaa.exr", "blender_multilayer.exr"])
def test_an_exr_looks_like_the_png_of_the_same_frame(name: str) -> None:
    png = shown_picture(PICTURES / "blender.png", read_picture(PICTURES / "blender.png"))
    exr = shown_picture(PICTURES / name, read_picture(PICTURES / name))
    assert exr.shape == png.shape
    assert np.abs(exr.astype(int) - png.astype(int)).mean() < 8


def test_light_is_shown_by_the_curve_of_srgb_and_nothing_is_brighter_than_white(tmp_path: Path) -> None:
    pixels = np.array([[[0.0, 0.002, 0.18], [0.5, 1.0, 7.0], [np.nan, np.inf, -1.0]]], np.float32)
    write_picture(tmp_path / "a.exr", pixels, "float")
    shown = shown_picture(tmp_path / "a.exr", read_picture(tmp_path / "a.exr"))
    assert shown.tolist() == [[[0, 7, 118], [188, 255, 255], [0, 255, 0]]]


def test_a_smaller_picture_is_the_mean_of_what_it_stands_for(tmp_path: Path) -> None:
    pixels = np.zeros((3, 4, 3), np.float32)
    pixels[:, :2] = 1.0
    pixels[0, 3] = 1.0
    write_picture(tmp_path / "a.png", pixels, "uint8")
    shown = shown_picture(tmp_path / "a.png", read_picture(tmp_path / "a.png"), (2, 1))
    assert shown[0, :, 0].tolist() == [255, 43]


def test_a_frame_that_was_rendered_in_part_lies_where_it_belongs(tmp_path: Path) -> None:
    pixels = np.ones((2, 3, 3), np.float32)
    write_picture(tmp_path / "a.exr", pixels, "half", x=1, y=1, full_x=0, full_y=0, full_width=6, full_height=4)
    shown = shown_picture(tmp_path / "a.exr", read_picture(tmp_path / "a.exr"))
    expected = np.zeros((4, 6), int)
    expected[1:3, 1:4] = 255
    assert shown[..., 0].tolist() == expected.tolist()


def test_a_frame_that_reaches_past_its_window_is_cut_to_it(tmp_path: Path) -> None:
    pixels = np.linspace(0.0, 1.0, 8 * 6, dtype=np.float32).reshape(6, 8, 1).repeat(3, axis=2)
    write_picture(tmp_path / "a.exr", pixels, "float", x=-2, y=-1, full_x=0, full_y=0, full_width=4, full_height=4)
    write_picture(tmp_path / "b.exr", np.ascontiguousarray(pixels[1:5, 2:6]), "float")
    shown = shown_picture(tmp_path / "a.exr", read_picture(tmp_path / "a.exr"))
    assert shown.tolist() == shown_picture(tmp_path / "b.exr", read_picture(tmp_path / "b.exr")).tolist()


def test_transparent_lies_over_black(tmp_path: Path) -> None:
    pixels = np.array([[[1.0, 1.0, 1.0, 0.5], [1.0, 1.0, 1.0, 0.0]]], np.float32)
    write_picture(tmp_path / "a.png", pixels, "uint8", **{"oiio:UnassociatedAlpha": 1})
    shown = shown_picture(tmp_path / "a.png", read_picture(tmp_path / "a.png"))
    assert shown[0, :, 0].tolist() == [128, 0]


def test_a_picture_that_became_another_since_it_was_checked_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", np.ones((4, 6, 3), np.float32), "uint8")
    with pytest.raises(BrokenPictureError, match="it is not what its container says"):
        shown_picture(tmp_path / "a.png", Picture("PNG", 5, 4, decoded_bytes=1000))


def test_no_picture_is_made_larger() -> None:
    assert fitted(Picture("PNG", 1920, 1080), 320) == (320, 180)
    assert fitted(Picture("PNG", 64, 36), 320) == (64, 36)
    assert fitted(Picture("PNG", 10000, 2), 100) == (100, 1)
