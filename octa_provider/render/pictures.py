"""Whether rendered frames are all there, and whole pictures: a renderer's "success" proves neither."""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from octa_provider.errors import OctaConfigError, OctaError

__all__ = ["BrokenPictureError", "broken_frames", "flaw_of", "png_size"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")
_SIZE = struct.Struct(">II")
_MAX_CHUNK = 2**31 - 1
#: Of a chunk only so much is kept: whoever wrote it chose its length.
_KEPT = 64
_PIECE = 256 * 1024
#: What a renderer writes. An empty one is no picture, and a placeholder at best.
_SUFFIXES = frozenset(
    {".bmp", ".cin", ".dds", ".dpx", ".exr", ".gif", ".hdr", ".heic", ".jp2", ".jpeg", ".jpg", ".png", ".psd", ".rgb"}
    | {".sgi", ".tga", ".tif", ".tiff", ".webp"}
)


class BrokenPictureError(OctaError):
    """A file is no whole picture."""


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
        with open(path, "rb") as file:
            if (signature := file.read(len(_SIGNATURE))) != _SIGNATURE:
                raise BrokenPictureError(f"{path} is {'no PNG' if signature else 'empty'}")
            kind, header = _chunk(file, path)
            if kind != b"IHDR" or len(header) != 13:
                raise BrokenPictureError(f"{path} has no PNG header")
            has_pixels = False
            while kind != b"IEND":
                kind, data = _chunk(file, path)
                has_pixels = has_pixels or (kind == b"IDAT" and data != b"")
            if not has_pixels:
                raise BrokenPictureError(f"{path} has no pixels")
            if file.read(1):
                raise BrokenPictureError(f"{path} goes on past the end of its picture")
    except OSError as error:
        raise BrokenPictureError(f"{path} can't be read: {error.strerror}") from error
    width, height = _SIZE.unpack_from(header)
    if not (width and height):
        raise BrokenPictureError(f"{path} is {width}x{height} pixels")
    return width, height


def broken_frames(
    folder: str | os.PathLike[str],
    numbers: Iterable[int],
    *,
    name: str = "frame_{:04d}.png",
    size: tuple[int, int] | None = None,
    made: Iterable[str | os.PathLike[str]] | None = None,
) -> dict[int, str]:
    """The frames that are missing, no whole PNG, or of another size than they should be.

    Args:
        folder: where they are.
        numbers: the frames that were asked for.
        name: a frame's file name, for `str.format` with its number.
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
            sizes[number] = png_size(path)
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


def flaw_of(path: str | os.PathLike[str], name: str | os.PathLike[str] | bytes) -> str:
    """What is wrong with a file that is named as a picture, as far as it can be told without decoding it.

    Args:
        path: where its contents are.
        name: what it is called.

    Returns:
        A clause such as `is empty`; nothing for a whole picture, and for what is no picture.

    Raises:
        OSError: it can't be read.
    """
    if Path(os.fsdecode(name)).suffix.lower() not in _SUFFIXES:
        return ""
    with open(path, "rb") as file:
        head = file.read(len(_SIGNATURE))
    if not head:
        return "is empty"
    if head != _SIGNATURE:
        return ""
    try:
        png_size(path)
    except BrokenPictureError as error:
        return str(error).removeprefix(f"{path} ")
    return ""


def _chunk(file: BinaryIO, path: str | os.PathLike[str]) -> tuple[bytes, bytes]:
    """The kind of the next chunk, and the beginning of what is in it."""
    head = file.read(_HEAD.size)
    if len(head) == _HEAD.size:
        length, kind = _HEAD.unpack(head)
        if length <= _MAX_CHUNK:
            kept, checksum, left = b"", zlib.crc32(kind), length
            while left and (data := file.read(min(left, _PIECE))):
                checksum, left = zlib.crc32(data, checksum), left - len(data)
                kept = kept or data[:_KEPT]
            written = file.read(4)
            if not left and len(written) == 4:
                if checksum != int.from_bytes(written, "big"):
                    raise BrokenPictureError(f"{path} is damaged: a checksum is wrong")
                return kind, kept
    raise BrokenPictureError(f"{path} is cut off")
