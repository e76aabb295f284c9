"""The contact sheet shows whole frames, and each other frame as a gap."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_film import damage, draw_film, read_pixels, write_picture

from octa_provider.batch.batch import Batch
from octa_provider.batch.film.sheet import contact_sheet
from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError, OctaLocalFileError

RED = [214, 76, 76]
PICTURES = Path(__file__).resolve().parents[3] / "data" / "pictures"


def cells(sheet: Path, columns: int, width: int = 64, height: int = 36) -> list[np.ndarray]:
    """The pictures on a sheet, line by line."""
    pixels = read_pixels(sheet)
    step = height + 26
    return [
        pixels[8 + line * step : 8 + line * step + height, 8 + column * (width + 8) : 8 + column * (width + 8) + width]
        for line in range((pixels.shape[0] - 22) // step)
        for column in range(columns)
    ]


def test_each_whole_frame_is_shown_as_it_is(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 7))
    sheet = contact_sheet(folder, columns=3)
    assert sheet == folder / "sheet.png"
    for number, cell in enumerate(cells(sheet, 3), 1):
        assert (cell == read_pixels(folder / f"f_{number:04d}.png")).all()


def test_frames_that_are_missing_cut_or_of_another_size_are_gaps(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 7))
    (folder / "f_0002.png").unlink()
    (folder / "f_0004.png").write_bytes((folder / "f_0004.png").read_bytes()[:-9])
    write_picture(folder / "f_0005.png", np.ones((10, 10, 3), np.float32), "uint8")
    shown = cells(contact_sheet(folder, columns=3), 3)
    gaps = [number for number, cell in enumerate(shown, 1) if cell[0, 0].tolist() == RED]
    assert gaps == [2, 4, 5]


def test_a_frame_past_either_end_is_a_gap_when_it_was_asked_for(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(2, 4))
    shown = cells(contact_sheet(folder, frames="1-4", columns=4), 4)
    assert [cell[0, 0].tolist() == RED for cell in shown] == [True, False, False, True]


def test_a_picture_of_which_only_the_pixels_are_damaged_is_a_gap(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 3), kind="half", name="f_{:04d}.exr")
    damage(folder / "f_0002.exr")
    shown = cells(contact_sheet(folder, columns=2), 2)
    assert [cell[0, 0].tolist() == RED for cell in shown] == [False, True]


def test_of_many_frames_those_far_apart_are_shown_and_the_line_tells_of_all(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 101), width=20, height=10)
    (folder / "f_0051.png").unlink()
    sheet = contact_sheet(folder, most=5, columns=5)
    for number, cell in zip((1, 26, 51, 75, 100), cells(sheet, 5, 20, 10), strict=True):
        assert (cell[0, 0].tolist() == RED) == (number == 51)
        if number != 51:
            assert (cell == read_pixels(folder / f"f_{number:04d}.png")).all()
    line = read_pixels(sheet)[-10, 8:-8]
    red = [place for place, colour in enumerate(line.tolist()) if colour == RED]
    assert red == list(range(50 * len(line) // 100, 50 * len(line) // 100 + 2))


def test_a_number_stands_below_each_picture(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(7, 9))
    pixels = read_pixels(contact_sheet(folder, columns=2))
    below = pixels[8 + 36 + 4 : 8 + 36 + 4 + 10, 8 : 8 + 64]
    ink = (below != pixels[0, 0]).any(axis=2)
    assert ink[::2, 29:35:2].astype(int).tolist() == [[1, 1, 1], [0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_several_files_a_frame_show_the_one_that_is_named(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 3), name="a_{:04d}.png")
    draw_film(folder, range(3, 5), name="b_{:04d}.png")
    sheet = contact_sheet(folder, pattern="b_####.png", columns=2)
    assert (cells(sheet, 2)[0] == read_pixels(folder / "b_0003.png")).all()


def test_a_sheet_of_large_frames_is_small(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 3), width=900, height=500, kind="half", name="f_{:04d}.exr")
    assert read_pixels(contact_sheet(folder, columns=2, width=90)).shape == (8 + 50 + 26 + 14, 8 + 2 * 98, 3)


def test_a_jpeg_is_written_where_one_is_named(tmp_path: Path) -> None:
    folder = draw_film(tmp_path / "out", range(1, 3))
    sheet = contact_sheet(folder, target=tmp_path / "review.JPG")
    assert sheet.read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"columns": 0}, "columns must be a whole number from 1 to 1000, not 0"),
        ({"most": True}, "most must be a whole number"),
        ({"width": 100_000}, "width must be a whole number from 1 to 4096"),
        ({"target": "sheet.gif"}, "must end with .png or .jpg or .jpeg"),
        ({"target": "nowhere/sheet.png"}, "is no folder: make it first"),
        ({"target": "folder.png"}, "is a folder: name the file"),
        ({"target": "out/f_0002.png"}, "is the place of a frame: name another file"),
        ({"target": "link.png"}, "is the place of a frame: name another file"),
        ({"target": "out/f_0004.png", "frames": "1-4"}, "is the place of a frame: name another file"),
        ({"target": "kept.png"}, "is the place of a frame: name another file"),
        ({"frames": "9-10"}, "none of the 2 frames in out is whole: nothing to show"),
    ],
)
def test_what_cant_work_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_film(Path("out"), range(1, 4))
    Path("folder.png").mkdir()
    Path("link.png").symlink_to("out/f_0003.png")
    Path("out/f_0002.png").rename("kept.png")
    Path("out/f_0002.png").symlink_to("../kept.png")
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    with pytest.raises(OctaConfigError, match=why):
        contact_sheet("out", **options)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


def test_a_deep_picture_cant_be_shown(tmp_path: Path) -> None:
    shutil.copy(PICTURES / "oiio_deep.exr", tmp_path / "f_1.exr")
    with pytest.raises(OctaConfigError, match="is a deep EXR, which can't be shown"):
        contact_sheet(tmp_path)


def test_a_full_disk_leaves_the_sheet_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw_film(tmp_path / "out", range(1, 3))
    (folder / "sheet.png").write_bytes(b"before")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OctaLocalFileError, match="No space left on device"):
        contact_sheet(folder)
    assert (folder / "sheet.png").read_bytes() == b"before"
    assert sorted(path.name for path in folder.iterdir()) == ["f_0001.png", "f_0002.png", "sheet.png"]


def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    with pytest.raises(OctaConfigError, match=r"pip install 'octa-provider\[pictures\]'"):
        contact_sheet(tmp_path)


def test_a_batchs_folder_knows_its_frames_and_what_their_files_are_called(tmp_path: Path) -> None:
    scene = tmp_path / "shot.blend"
    scene.write_bytes(b"BLENDER")
    renderer = Renderer("any", "render {frame}", files=("z_{frame:04d}.png", "a_{frame:04d}.png"))
    batch = Batch(scene, "1-7x2", tmp_path / "out", renderer=renderer)
    with BatchFolder.open(batch, fingerprint_of(scene, "shot.blend", renderer), "tests/sheet"):
        pass
    folder = draw_film(tmp_path / "out", range(1, 6, 2), name="z_{:04d}.png")
    draw_film(folder, range(1, 8, 2), name="a_{:04d}.png")
    (folder / "a_0003.png").unlink()
    shown = cells(contact_sheet(folder, columns=4), 4)
    assert [cell[0, 0].tolist() == RED for cell in shown] == [False, True, False, True]
    assert (shown[2] == read_pixels(folder / "z_0005.png")).all()
    shown = cells(contact_sheet(folder, columns=4, pattern="a_{frame:04d}.png"), 4)
    assert [cell[0, 0].tolist() == RED for cell in shown] == [False, True, False, False]
