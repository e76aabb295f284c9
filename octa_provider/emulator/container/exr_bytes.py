"""EXR, byte by byte: a small picture of a frame with Blender's stamp, and other values in the stamp of one.

This file imports nothing from the rest of the package: interpreters that do not have the package read it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

__all__ = ["MAGIC", "frame_exr", "with_attributes"]

MAGIC = b"\x76\x2f\x31\x01"
_ONE_PART = struct.pack("<i", 2)
_HALF, _LINEAR, _EVERY_PIXEL = 1, b"\0\0\0\0", struct.pack("<ii", 1, 1)
#: 0.0 to 0.9375 in steps of a sixteenth, as half floats.
_SHADES = tuple(struct.pack("<e", shade / 16) for shade in range(16))


def frame_exr(frame: int, width: int, height: int, stamp: Mapping[str, str], *, black: bool = False) -> bytes:
    """A picture of one channel, not compressed, that no frame nearby has.

    Args:
        frame: the frame's number.
        width: in pixels.
        height: in pixels.
        stamp: what its texts say, by their names.
        black: every pixel is.
    """
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = (
        ("channels", "chlist", b"Y\0" + struct.pack("<i", _HALF) + _LINEAR + _EVERY_PIXEL + b"\0"),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", box),
        ("displayWindow", "box2i", box),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        *((name, "string", text.encode()) for name, text in stamp.items()),
    )
    head = MAGIC + _ONE_PART + b"".join(_attribute(*attribute) for attribute in attributes) + b"\0"
    size = 8 + 2 * width
    table = b"".join(struct.pack("<Q", len(head) + 8 * height + size * row) for row in range(height))
    shades = _SHADES[:1] if black else _SHADES
    rows = (
        struct.pack("<ii", row, 2 * width)
        + b"".join(shades[(place + row + frame) % len(shades)] for place in range(width))
        for row in range(height)
    )
    return head + table + b"".join(rows)


def with_attributes(picture: bytes, changes: Mapping[str, str]) -> bytes:
    """The picture with other texts of the same lengths: offsets in the file count from its beginning.

    Args:
        picture: the file's bytes.
        changes: what texts say from now on, by their names; numbers are filled up with zeros, names with spaces.
    """
    for name, text in changes.items():
        mark = name.encode() + b"\0string\0"
        place = picture.find(mark)
        if place >= 0:
            begin = place + len(mark) + 4
            (length,) = struct.unpack_from("<i", picture, begin - 4)
            value = text.encode()
            value = value.rjust(length, b"0")[-length:] if text.isdigit() else value.ljust(length)[:length]
            picture = picture[:begin] + value + picture[begin + length :]
    return picture


def _attribute(name: str, kind: str, value: bytes) -> bytes:
    return f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value
