"""PNG, byte by byte: a small picture of a frame with Blender's stamp, and a picture saying something else.

This file imports nothing from the rest of the package: interpreters that do not have the package read it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

from .exr_bytes import MAGIC, with_attributes

__all__ = ["SIGNATURE", "black_png", "frame_png", "huge_png", "render_time", "restamped"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2
#: A picture of so many times its width and height is a hundred million times as large.
_HUGE = 10_000


def frame_png(frame: int, width: int, height: int, stamp: Mapping[str, str]) -> bytes:
    """A picture that no other frame has, and that any machine makes alike.

    Args:
        frame: the frame's number.
        width: in pixels.
        height: in pixels.
        stamp: what its texts say, by their names.
    """
    line = bytes((5 * place + 37 * frame + 85 * channel) % 256 for place in range(width) for channel in range(3))
    rows = (b"\0" + line[(cut := 3 * row % len(line)) :] + line[:cut] for row in range(height))
    return _png(width, height, b"".join(rows), stamp)


def black_png(width: int, height: int, stamp: Mapping[str, str]) -> bytes:
    """A picture that is black from corner to corner.

    Args:
        width: in pixels.
        height: in pixels.
        stamp: what its texts say, by their names.
    """
    return _png(width, height, bytes(height * (1 + 3 * width)), stamp)


def huge_png(size: tuple[int, int]) -> bytes:
    """A small file that tells of a picture nobody has memory for, and is whole as far as chunks go.

    Args:
        size: width and height of the frame that it stands for.
    """
    width, height = (_HUGE * side for side in size)
    return _png(width, height, bytes(2**20), {})


def restamped(picture: bytes, changes: Mapping[str, str]) -> bytes:
    """A PNG or EXR whose texts say something else; what is neither comes back as it is.

    Args:
        picture: the file's bytes.
        changes: what texts say from now on, by their names; one that is not there is not added.
    """
    if picture.startswith(MAGIC):
        return with_attributes(picture, changes)
    if not picture.startswith(SIGNATURE):
        return picture
    changed = [SIGNATURE]
    for kind, data in _chunks(picture):
        name = data.partition(b"\0")[0].decode("latin-1")
        if kind == b"tEXt" and name in changes:
            data = name.encode("latin-1") + b"\0" + changes[name].encode()
        changed.append(_chunk(kind, data))
    return b"".join(changed)


def render_time(seconds: float) -> str:
    """A time as Blender's stamp has it: `01:02.50`."""
    return f"{int(seconds) // 60:02d}:{seconds % 60:05.2f}"


def _png(width: int, height: int, rows: bytes, stamp: Mapping[str, str]) -> bytes:
    texts = (_chunk(b"tEXt", f"{name}\0{text}".encode()) for name, text in stamp.items())
    header = struct.pack(">IIBBBBB", width, height, 8, _RGB, 0, 0, 0)
    pixels = _chunk(b"IDAT", zlib.compress(rows, 1))
    return b"".join((SIGNATURE, _chunk(b"IHDR", header), *texts, pixels, _chunk(b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place + 12 <= len(picture):
        length, kind = struct.unpack_from(">I4s", picture, place)
        yield kind, picture[place + 8 : place + 8 + length]
        place += 12 + length
