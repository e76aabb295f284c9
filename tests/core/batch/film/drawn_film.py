"""Frames of the tests: a ball that moves, drawn by OpenImageIO, each frame another picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

__all__ = ["ball_at", "damage", "draw_film", "read_pixels", "write_picture"]


def write_picture(path: Path, pixels: Any, kind: str = "half", **attributes: Any) -> None:
    """Write an array of lines, columns and channels."""
    path.parent.mkdir(exist_ok=True)
    writer = oiio.ImageOutput.create(str(path))
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    for name, value in attributes.items():
        setattr(spec, name, value) if hasattr(spec, name) else spec.attribute(name, value)
    assert writer.open(str(path), spec), writer.geterror()
    assert writer.write_image(pixels), writer.geterror()
    assert writer.close()


def ball_at(number: int, width: int, height: int) -> Any:
    """The picture of a frame: half grey, with a white ball that is further right in each."""
    line, column = np.mgrid[0:height, 0:width]
    pixels = np.full((height, width, 3), 0.5, np.float32)
    pixels[(column - 4 - 3 * number) ** 2 + (line - height // 2) ** 2 < 9] = 1.0
    return pixels


def draw_film(
    folder: Path, numbers: range, *, width: int = 64, height: int = 36, name: str = "f_{:04d}.png", kind: str = "uint8"
) -> Path:
    """Write these frames into a folder."""
    for number in numbers:
        write_picture(folder / name.format(number), ball_at(number, width, height), kind)
    return folder


def read_pixels(path: Path) -> Any:
    """A picture's pixels, as bytes."""
    opened = oiio.ImageInput.open(str(path))
    pixels = opened.read_image("uint8")
    opened.close()
    return pixels


def damage(path: Path) -> None:
    """Change bytes of compressed pixels: the container stays whole."""
    data = bytearray(path.read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(data)
