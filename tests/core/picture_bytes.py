"""Pictures of the tests: real ones from Blender, OpenImageIO and Pillow, and small ones put together byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

__all__ = ["PICTURES", "exr", "jpeg", "picture", "tiff"]

FOLDER = Path(__file__).resolve().parents[1] / "data" / "pictures"
PICTURES = sorted(path.name for path in FOLDER.iterdir())


def picture(name: str) -> bytes:
    """A real picture of tests/data: of Blender 4.5 (frame 17 of `Scène 2`), OpenImageIO 3.2 or Pillow 13."""
    return (FOLDER / name).read_bytes()


def exr(width: int = 4, height: int = 3, *, chunks: bool = True, channels: bytes | None = None) -> bytes:
    """An EXR of one half channel, not compressed."""

    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value

    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    head = (
        b"\x76\x2f\x31\x01\x02\0\0\0"
        + attribute(b"channels", b"chlist", channels or b"Y\0" + struct.pack("<iB3xii", 1, 0, 1, 1) + b"\0")
        + attribute(b"compression", b"compression", b"\0")
        + attribute(b"dataWindow", b"box2i", box)
        + attribute(b"displayWindow", b"box2i", box)
        + attribute(b"lineOrder", b"lineOrder", b"\0")
        + b"\0"
    )
    if not chunks:
        return head
    size = 8 + 2 * width
    begin = len(head) + 8 * height
    table = b"".join(struct.pack("<Q", begin + size * line) for line in range(height))
    lines = (struct.pack("<ii", line, 2 * width) + bytes(range(2 * width)) for line in range(height))
    return head + table + b"".join(lines)


def tiff(*, order: str = ">", big: bool = False, following: int = 0, fields: dict[int, int] | None = None) -> bytes:
    """A grey TIFF of 4x3 pixels in one strip, in any byte order; `fields` are added, or take others' place."""
    place = 16 if big else 8
    values = {256: 4, 257: 3, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 3, 279: 12, **(fields or {})}
    entry, count, offset = ("HHQQ", "Q", "Q") if big else ("HHII", "H", "I")
    data = place + struct.calcsize(order + count) + len(values) * struct.calcsize(order + entry)
    data += struct.calcsize(order + offset)
    values[273] = values[273] or data
    head = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HHQ", 8, 0, place) if big else struct.pack(f"{order}I", place)
    kind = 16 if big else 4
    body = b"".join(struct.pack(order + entry, tag, kind, 1, value) for tag, value in sorted(values.items()))
    return head + struct.pack(order + count, len(values)) + body + struct.pack(order + offset, following) + bytes(12)


def jpeg(*, scan: bytes = b"\x12\xff\x00\x34\xff\xd0\x56", end: bytes = b"\xff\xd9", width: int = 4) -> bytes:
    """What has a JPEG's segments; its scan is no picture's."""
    frame = struct.pack(">BHHB", 8, 3, width, 1) + b"\x01\x11\x00"
    scan_head = b"\x01\x01\x00\x00\x3f\x00"

    def segment(mark: int, data: bytes) -> bytes:
        return b"\xff" + bytes([mark]) + struct.pack(">H", len(data) + 2) + data

    return b"\xff\xd8" + segment(0xE0, b"JFIF\0") + segment(0xC0, frame) + segment(0xDA, scan_head) + scan + end
