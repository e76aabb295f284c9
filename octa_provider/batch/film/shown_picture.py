"""A frame as a screen shows it: eight bits of red, green and blue, smaller where that is wanted."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from typing import Any

from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import shown
from octa_provider.render.decoded_lines import colour_channels, lines_of
from octa_provider.render.native_path import native_path
from octa_provider.render.picture import BrokenPictureError, Picture
from octa_provider.text.plain_text import plain_words

__all__ = ["fitted", "shown_picture"]

#: Formats of which samples are light, not what a screen shows.
_LINEAR = {"half", "float", "double"}


def fitted(picture: Picture, width: int | None) -> tuple[int, int]:
    """The size of a picture that is at most so wide, with the same proportions.

    Args:
        picture: what its container told.
        width: in pixels; None leaves it as it is. None is made larger.
    """
    if width is None or width >= picture.width:
        return picture.width, picture.height
    return width, max(1, round(picture.height * width / picture.width))


def shown_picture(path: str | os.PathLike[str], picture: Picture, size: tuple[int, int] | None = None) -> Any:
    """Decode a picture, some lines at a time.

    Light (EXR, floats) becomes what a screen shows by the curve of sRGB and no other, as Blender's view transform
    *Standard* does: what is brighter than white is white. What is transparent lies over black. Of several layers or
    parts the first colour is shown, and of one with a single channel its grey.

    Args:
        path: where it is.
        picture: what its container told, which has been found whole.
        size: width and height to shrink it to; its own when left out.

    Returns:
        A numpy array of lines, columns and three bytes.

    Raises:
        BrokenPictureError: it can't be decoded, or is not what its container says.
    """
    with native_path(path) as native:
        opened = import_module("OpenImageIO").ImageInput.open(native)
        if opened is None:
            raise _broken(path, import_module("OpenImageIO").geterror())
        try:
            return _read(opened, path, picture, size or (picture.width, picture.height))
        finally:
            opened.close()


def _read(opened: Any, path: str | os.PathLike[str], picture: Picture, size: tuple[int, int]) -> Any:
    np = import_module("numpy")
    spec = opened.spec()
    left, top, width, height = spec.full_x, spec.full_y, spec.full_width, spec.full_height
    if (width, height) != (picture.width, picture.height):
        left, top, width, height = spec.x, spec.y, spec.width, spec.height
    promised = picture.decoded_bytes or 0
    if (width, height) != (picture.width, picture.height) or spec.width * spec.height > promised or spec.depth != 1:
        raise _broken(path, "it is not what its container says")
    channels = colour_channels(list(spec.channelnames), spec.alpha_channel)
    if len(channels) not in {1, 3}:
        raise OctaConfigError(f"{shown(path)} has no colours to show: its channels are {_named(spec.channelnames)}")
    begin, end = min(channels), max(channels) + 1
    columns, lines = (_edges(np, side, shrunk) for side, shrunk in zip((width, height), size, strict=True))
    # Where the pixels of the file lie on the picture: of an EXR they may be a part of it, or reach past it.
    first, last = max(spec.x, left), min(spec.x + spec.width, left + width)
    same = size == (width, height)
    # Of halves there are so few that what each is shown as can be looked up.
    table = _shown_as(is_linear=picture.format == "EXR" or str(spec.format) in _LINEAR, as_bytes=same)
    shown_pixels = np.zeros((size[1], size[0], 3), table.dtype)
    line = spec.y - top
    for pixels in lines_of(opened, spec, 0, begin, end, "half"):
        if pixels is None:
            raise _broken(path, opened.geterror())
        count = pixels.shape[0]
        skipped, kept = max(0, -line), min(count, height - line)
        if kept > skipped and last > first:
            seen = pixels[skipped:kept, first - spec.x : last - spec.x, [at - begin for at in channels]]
            colours = table[seen.view(np.uint16)]
            if same:
                shown_pixels[line + skipped : line + kept, first - left : last - left] = colours
            else:
                row = np.zeros((kept - skipped, width, 3), np.float32)
                row[:, first - left : last - left] = colours
                row = np.add.reduceat(row, columns[:-1], axis=1)
                below = np.searchsorted(lines, np.arange(line + skipped, line + kept), "right") - 1
                begins = np.flatnonzero(np.diff(below, prepend=-1))
                shown_pixels[below[begins]] += np.add.reduceat(row, begins, axis=0)
        line += count
    if same:
        return shown_pixels
    shown_pixels /= np.diff(lines)[:, None, None] * np.diff(columns)[None, :, None]
    return (shown_pixels * 255 + 0.5).astype(np.uint8)


def _edges(np: Any, side: int, shrunk: int) -> Any:
    """Where each pixel of the smaller picture begins in the larger one, and at last where that ends."""
    return np.arange(shrunk + 1) * side // shrunk


@lru_cache(maxsize=4)
def _shown_as(*, is_linear: bool, as_bytes: bool) -> Any:
    """What each half is shown as, by its 16 bits: from 0 to 1, or in bytes."""
    np = import_module("numpy")
    values = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    clean = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    if is_linear:
        clean = np.where(clean <= 0.0031308, clean * 12.92, 1.055 * np.power(clean, 1 / 2.4) - 0.055)
    return (clean * 255 + 0.5).astype(np.uint8) if as_bytes else clean.astype(np.float32)


def _named(channels: Any) -> str:
    return plain_words(", ".join(list(channels)[:10]))[:200]


def _broken(path: str | os.PathLike[str], said: object) -> BrokenPictureError:
    flaw = f"can't be decoded: {plain_words(str(said).strip())[:300] or 'OpenImageIO does not say why'}"
    return BrokenPictureError(f"{shown(path)} {flaw}", flaw=flaw)
