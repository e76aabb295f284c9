"""Check rendered frames one by one, and put them on one picture."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat, UnidentifiedImageError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: A picture of one colour has no spread; even the darkest frame of a scene has more than this (of 255).
LEAST_SPREAD = 1.0

BACKGROUND, INK, FAINT = (16, 19, 27), (236, 239, 245), (134, 143, 160)
GAP, CAPTION, HEADING = 12, 30, 66


class FrameError(Exception):
    """A frame that is missing or is not what was to be rendered."""


@dataclass(frozen=True)
class Frame:
    """A frame that has been checked."""

    number: int
    path: Path
    picture: Image.Image


def frame_path(folder: Path, number: int) -> Path:
    """Where a frame is: Blender's names for ``-o folder/frame_####``."""
    return folder / f"frame_{number:04d}.png"


def read_frame(folder: Path, number: int, size: tuple[int, int]) -> Frame:
    """Read one frame.

    Args:
        folder: where the frames are.
        number: the frame.
        size: pixels across and down that it must have.

    Raises:
        FrameError: it is missing, not a whole PNG, of another size, or all one colour.
    """
    path = frame_path(folder, number)
    if not path.is_file():
        raise FrameError(f"frame {number} is missing: {path}")
    with path.open("rb") as file:
        if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
            raise FrameError(f"frame {number} is not a PNG: {path}")
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise FrameError(f"frame {number} is not a whole picture: {path}: {error}") from error
    if picture.size != size:
        raise FrameError(f"frame {number} is {picture.width}x{picture.height}, not {size[0]}x{size[1]}: {path}")
    if max(ImageStat.Stat(picture).stddev) < LEAST_SPREAD:
        raise FrameError(f"frame {number} is blank: {path}")
    return Frame(number, path, picture)


def check_frames(folder: Path, numbers: Sequence[int], size: tuple[int, int]) -> tuple[list[Frame], list[str]]:
    """Read all frames of an animation.

    Returns:
        The good frames in order, and what is wrong with the others; a frame equal to the one before it is wrong too,
        because everything in the scene moves.
    """
    good: list[Frame] = []
    problems: list[str] = []
    for number in numbers:
        try:
            frame = read_frame(folder, number, size)
        except FrameError as error:
            problems.append(str(error))
            continue
        if good and ImageChops.difference(good[-1].picture, frame.picture).getbbox() is None:
            problems.append(f"frame {number} is the same picture as frame {good[-1].number}")
        good.append(frame)
    return good, problems


def write_contact_sheet(
    path: Path, frames: Sequence[Frame], machines: Mapping[int, str], heading: str, columns: int = 6
) -> None:
    """Write the frames as one PNG.

    Args:
        path: the PNG.
        frames: what to show, in order.
        machines: for each frame number, what rendered it; each machine gets a colour.
        heading: one line on top.
        columns: pictures in a row.
    """
    width = max(frame.picture.width for frame in frames)
    height = max(frame.picture.height for frame in frames)
    rows = -(-len(frames) // columns)
    sheet = Image.new(
        "RGB",
        (GAP + columns * (width + GAP), HEADING + rows * (height + CAPTION + GAP)),
        BACKGROUND,
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, HEADING // 2), heading, INK, ImageFont.load_default(24), anchor="lm")
    names = list(dict.fromkeys(machines.get(frame.number, "") for frame in frames))
    for place, frame in enumerate(frames):
        left = GAP + place % columns * (width + GAP)
        top = HEADING + place // columns * (height + CAPTION + GAP)
        machine = machines.get(frame.number, "")
        colour = machine_colour(names.index(machine), len(names))
        sheet.paste(frame.picture, (left, top))
        draw.rectangle((left, top + height, left + width - 1, top + height + 3), colour)
        line = top + height + 4 + (CAPTION - 4) // 2
        draw.text((left + 2, line), f"{frame.number:04d}", INK, ImageFont.load_default(16), anchor="lm")
        draw.text((left + width - 2, line), machine, FAINT, ImageFont.load_default(14), anchor="rm")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def machine_colour(index: int, count: int) -> tuple[int, int, int]:
    """A colour for the ``index``-th of ``count`` machines."""
    red, green, blue = colorsys.hsv_to_rgb((0.52 + index / max(count, 1)) % 1.0, 0.65, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
