"""A contact sheet: the frames of an animation on one picture, those that are not whole as gaps."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from octa_provider.batch.film.drawn_digits import DIGIT_HEIGHT, draw_number, number_width
from octa_provider.batch.film.film_frames import FilmFrames, film_frames
from octa_provider.batch.film.shown_picture import fitted, shown_picture
from octa_provider.errors import OctaConfigError, OctaLocalFileError
from octa_provider.files.local_files import shown, unreadable
from octa_provider.files.whole_file import whole_file
from octa_provider.render.frames import Frames
from octa_provider.render.picture import BrokenPictureError

__all__ = ["contact_sheet", "sheet_of"]

DEFAULT_NAME = "sheet.png"
SUFFIXES = (".png", ".jpg", ".jpeg")
MOST_FRAMES = 10_000
#: A sheet of more pixels is opened by few programs.
MOST_PIXELS = 500_000_000
GAP = 8
_BACKGROUND, _INK, _HOLE, _MARK = (16, 19, 27), (190, 197, 210), (34, 38, 50), (214, 76, 76)
_BAR_HEIGHT = 6


def contact_sheet(
    output: str | os.PathLike[str],
    *,
    target: str | os.PathLike[str] | None = None,
    frames: str | Frames | Iterable[int] | None = None,
    pattern: str | None = None,
    columns: int | None = None,
    most: int = 48,
    width: int = 320,
) -> Path:
    """Put the frames in a folder on one picture. Only whole frames are shown; the others are gaps with a red edge.

    The line at the bottom stands for all frames, with red where one is not whole.

    Args:
        output: the folder with the frames.
        target: the PNG or JPEG to write, whole or not at all; `sheet.png` in the folder when left out.
        frames: those that there should be: a range such as `1-240`, or numbers. Left out, those of the
            batch that was rendered into the folder, else all from the first to the last that is there.
        pattern: of the file that is shown of each frame; guessed when left out.
        columns: pictures side by side; chosen when left out.
        most: show at most so many frames, as far apart as they can be.
        width: of each picture, in pixels.

    Returns:
        The target.

    Raises:
        OctaConfigError: an argument that can't work, no frames, or the extra `pictures` is not installed.
        OctaLocalFileError: the sheet can't be written.
    """
    return sheet_of(film_frames(output, frames, pattern), target=target, columns=columns, most=most, width=width)


def sheet_of(
    film: FilmFrames,
    *,
    target: str | os.PathLike[str] | None = None,
    columns: int | None = None,
    most: int = 48,
    width: int = 320,
) -> Path:
    """The same of frames that have been checked; the arguments are those of `contact_sheet`."""
    for name, value, highest in (("columns", columns, 1000), ("most", most, MOST_FRAMES), ("width", width, 4096)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest):
            raise OctaConfigError(f"{name} must be a whole number from 1 to {highest}, not {value!r}")
    path = film.target(target, DEFAULT_NAME, SUFFIXES)
    if not film.whole:
        raise OctaConfigError(
            f"none of the {len(film.numbers)} frames in {shown(film.folder)} is whole: nothing to show"
        )
    pixels = _drawn(film, _spread(film.numbers, most), columns, width)
    try:
        _write(path, pixels)
    except OSError as error:
        raise unreadable(path, error) from error
    return path


def _spread(numbers: tuple[int, ...], most: int) -> list[int]:
    """At most so many of them, as far apart as they can be, the first and the last among them."""
    if len(numbers) <= most:
        return list(numbers)
    if most == 1:
        return [numbers[0]]
    return [numbers[round(place * (len(numbers) - 1) / (most - 1))] for place in range(most)]


def _drawn(film: FilmFrames, numbers: list[int], columns: int | None, width: int) -> Any:
    np = import_module("numpy")
    one = next(iter(film.whole.values())).picture
    assert one is not None
    wide, high = fitted(one, width)
    columns = min(columns or _columns(len(numbers), wide, high), len(numbers))
    lines = -(-len(numbers) // columns)
    step = high + DIGIT_HEIGHT + 2 * GAP
    size = (GAP + lines * step + _BAR_HEIGHT + GAP, GAP + columns * (wide + GAP))
    if size[0] * size[1] > MOST_PIXELS:
        raise OctaConfigError(f"the sheet would have {size[1]}x{size[0]} pixels: show fewer frames, or smaller ones")
    pixels = np.empty((*size, 3), np.uint8)
    pixels[:] = _BACKGROUND
    holes = set(film.broken)
    for place, number in enumerate(numbers):
        top, left = GAP + place // columns * step, GAP + place % columns * (wide + GAP)
        picture = None if number in holes else _picture(film, number, (wide, high))
        if picture is None:
            holes.add(number)
            pixels[top : top + high, left : left + wide] = _MARK
            pixels[top + 2 : top + high - 2, left + 2 : left + wide - 2] = _HOLE
        else:
            pixels[top : top + high, left : left + wide] = picture
        middle = left + max(0, wide - number_width(number)) // 2
        draw_number(pixels, number, middle, top + high + GAP // 2, _MARK if picture is None else _INK)
    _draw_bar(pixels[-GAP - _BAR_HEIGHT : -GAP, GAP:-GAP], film.numbers, holes)
    return pixels


def _columns(count: int, wide: int, high: int) -> int:
    """So many that the sheet is about as wide as a screen is, by its height."""
    return max(1, min(count, round(math.sqrt(count * 16 / 9 * high / wide))))


def _picture(film: FilmFrames, number: int, size: tuple[int, int]) -> Any:
    """A frame's pixels; None for one that turns out not to be whole only now."""
    file = film.whole[number]
    assert file.picture is not None
    with suppress(BrokenPictureError):
        return shown_picture(film.folder / file.name, file.picture, size)
    return None


def _draw_bar(bar: Any, numbers: tuple[int, ...], holes: set[int]) -> None:
    bar[:] = _INK
    wide = bar.shape[1]
    for place, number in enumerate(numbers):
        if number in holes:
            begin = place * wide // len(numbers)
            bar[:, begin : max(begin + 2, (place + 1) * wide // len(numbers))] = _MARK


def _write(path: Path, pixels: Any) -> None:
    oiio = import_module("OpenImageIO")
    high, wide, _ = pixels.shape
    with tempfile.TemporaryDirectory(prefix="octa-sheet-") as folder:
        part = Path(folder) / f"sheet{path.suffix.lower()}"
        writer = oiio.ImageOutput.create(str(part))
        spec = oiio.ImageSpec(wide, high, 3, "uint8")
        spec.attribute("Compression", "jpeg:92" if part.suffix != ".png" else "zip")
        if not (writer and writer.open(str(part), spec) and writer.write_image(pixels) and writer.close()):
            said = (writer.geterror() if writer else oiio.geterror()) or "OpenImageIO does not say why"
            raise OctaLocalFileError(f"{shown(path)} can't be written: {said}")
        with part.open("rb") as made, whole_file(path) as file:
            shutil.copyfileobj(made, file)
