"""Whether rendered frames are all there, and whole pictures: a renderer's "success" proves neither."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import shown
from octa_provider.render.containers import FORMAT_OF_SUFFIX, read_as_named, read_content
from octa_provider.render.picture import BrokenPictureError
from octa_provider.render.picture_file import open_picture
from octa_provider.render.png import read_png

__all__ = ["broken_frames", "flaw_of", "png_size"]

#: What a renderer writes. An empty one is no picture, and a placeholder at best.
_SUFFIXES = frozenset(
    {".bmp", ".cin", ".dds", ".dpx", ".exr", ".gif", ".hdr", ".heic", ".jp2", ".jpeg", ".jpg", ".png", ".psd", ".rgb"}
    | {".sgi", ".tga", ".tif", ".tiff", ".webp"}
)


def png_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Check a PNG from its first byte to its last, checksums included, without decoding it.

    Args:
        path: the file.

    Returns:
        Its width and height in pixels.

    Raises:
        BrokenPictureError: the file is missing, empty, no PNG, cut off, damaged, or goes on past its end.
    """
    try:
        with open_picture(path) as file:
            picture = read_png(file)
    except OSError as error:
        flaw = f"can't be read: {error.strerror}"
        raise BrokenPictureError(f"{shown(path)} {flaw}", flaw=flaw) from error
    return picture.width, picture.height


def broken_frames(
    folder: str | os.PathLike[str],
    numbers: Iterable[int],
    *,
    name: str = "frame_{:04d}.png",
    size: tuple[int, int] | None = None,
    made: Iterable[str | os.PathLike[str]] | None = None,
) -> dict[int, str]:
    """The frames that are missing, no whole picture, or of another size than they should be.

    Args:
        folder: where they are.
        numbers: the frames that were asked for.
        name: a frame's file name, for `str.format` with its number; what ends in .png, .exr, .jpg or .tif must be of
            that format, all else a PNG.
        size: width and height in pixels; left out, what most of them have.
        made: the files that have just been made, such as `JobResult.outputs`: what lies in the folder beside them is
            of an earlier render, and counts as missing. Left out, all that is in the folder counts.

    Returns:
        What is wrong with each that is not in order, by its number; empty when all is well.
    """
    try:
        paths = {number: Path(folder).expanduser() / name.format(number) for number in numbers}
    except (IndexError, KeyError, ValueError) as error:
        raise OctaConfigError(f"{name!r} is no format of a frame's file name, such as 'frame_{{:04d}}.png'") from error
    if len(set(paths.values())) < len(paths):
        raise OctaConfigError(f"{name!r} names several frames alike: give it a place for the number, such as {{:04d}}")
    sizes: dict[int, tuple[int, int]] = {}
    broken: dict[int, str] = {}
    fresh = None if made is None else {_place(Path(one).expanduser()) for one in made}
    for number, path in paths.items():
        if fresh is not None and _place(path) not in fresh:
            broken[number] = f"{path} was not made by this render"
            continue
        try:
            sizes[number] = _size(path)
        except BrokenPictureError as error:
            broken[number] = str(error)
    if size is None and sizes:
        size = Counter(sizes.values()).most_common(1)[0][0]
    for number, seen in sizes.items():
        if size is not None and seen != size:
            broken[number] = f"{paths[number]} is {seen[0]}x{seen[1]} pixels, not {size[0]}x{size[1]}"
    return dict(sorted(broken.items()))


def _place(path: Path) -> Path:
    """Where a file lies, however its folder is written."""
    return Path(os.path.realpath(path.parent), path.name)


def _size(path: Path) -> tuple[int, int]:
    if path.suffix.lower() not in FORMAT_OF_SUFFIX:
        return png_size(path)
    picture = read_as_named(path, path)
    return picture.width, picture.height


def flaw_of(path: str | os.PathLike[str], name: str | os.PathLike[str] | bytes) -> str:
    """What is wrong with a file that is named as a picture, as far as it can be told without decoding it.

    PNG, EXR, JPEG and TIFF are looked at from their first byte to their last; a whole one under another one's name is a
    whole picture. Of all other formats only what is empty is no picture.

    Args:
        path: where its contents are.
        name: what it is called.

    Returns:
        A clause such as `is empty`; nothing for a whole picture, and for what is no picture.

    Raises:
        OSError: it can't be read.
    """
    suffix = Path(os.fsdecode(name)).suffix.lower()
    if suffix not in _SUFFIXES:
        return ""
    try:
        with open_picture(path) as file:
            read_content(file, FORMAT_OF_SUFFIX.get(suffix))
    except BrokenPictureError as error:
        return error.flaw
    return ""
