"""OpenEXR's headers: the attributes of each part that tell where its pixels are, each of them bounded."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from octa_provider.render.picture_file import PictureFile
from octa_provider.render.stamp import STAMP_NAMES, stamp_text

__all__ = ["ExrFile", "ExrPart", "read_headers"]

EXR_MAGIC = b"\x76\x2f\x31\x01"
_TILED, _LONG_NAMES, _DEEP, _MULTI_PART = 0x200, 0x400, 0x800, 0x1000
_KNOWN_FLAGS = 0xFF | _TILED | _LONG_NAMES | _DEEP | _MULTI_PART
_INT = struct.Struct("<i")
_BOX = struct.Struct("<4i")
_TILES = struct.Struct("<IIB")
_CHANNEL = struct.Struct("<iB3xii")
_NAME_BYTES = 255
#: Of all parts together: hundreds of passes have some thousands.
MOST_ATTRIBUTES = 30_000
MOST_PARTS = 4096
MOST_CHANNELS = 4096
#: A picture of more pixels a side has no camera and no renderer.
MOST_SIDE = 2**24
_KEPT = 4096
#: Bytes of a sample, by its type: unsigned, half, float.
_SAMPLE_BYTES: Mapping[int, int] = {0: 4, 1: 2, 2: 4}
_NEEDED = ("channels", "compression", "dataWindow", "displayWindow")
#: The types of the attributes that are read; another one under the same name is damage, but for a stamp's.
_TYPES: Mapping[bytes, bytes] = {
    b"channels": b"chlist",
    b"compression": b"compression",
    b"dataWindow": b"box2i",
    b"displayWindow": b"box2i",
    b"tiles": b"tiledesc",
    b"type": b"string",
    b"chunkCount": b"int",
}


@dataclass(frozen=True)
class ExrPart:
    """One part of a file.

    Attributes:
        display: width and height of the display window.
        data: left, top, right and bottom of the data window, each inclusive.
        compression: its number in the format.
        is_deep: whether each pixel has samples of its own count.
        tiles: width, height, and mode of its tiles; None for lines.
        pixel_bytes: what a pixel takes when it is decoded, at most.
        is_sampled: whether a channel has fewer samples than pixels.
        chunk_count: what its attribute says; None without.
    """

    display: tuple[int, int]
    data: tuple[int, int, int, int]
    compression: int
    is_deep: bool
    tiles: tuple[int, int, int] | None
    pixel_bytes: int
    is_sampled: bool
    chunk_count: int | None

    @property
    def width(self) -> int:
        """Of the data window."""
        return self.data[2] - self.data[0] + 1

    @property
    def height(self) -> int:
        """Of the data window."""
        return self.data[3] - self.data[1] + 1


@dataclass(frozen=True)
class ExrFile:
    """The headers of a file.

    Attributes:
        parts: its parts, in the order of their offset tables.
        is_multi_part: whether each chunk begins with the number of its part.
        texts: those of `STAMP_NAMES` in the first part that has them.
    """

    parts: tuple[ExrPart, ...]
    is_multi_part: bool
    texts: Mapping[str, str]


def read_headers(file: PictureFile) -> ExrFile:
    """Read the headers, up to where the offset tables begin.

    Args:
        file: it, at its first byte.

    Raises:
        BrokenPictureError: it is no EXR, is cut off, or says what can't be.
    """
    if file.size < len(EXR_MAGIC) or file.take(len(EXR_MAGIC)) != EXR_MAGIC:
        raise file.broken("is no EXR")
    flags = int.from_bytes(file.take(4), "little")
    if flags & 0xFF != 2 or flags & ~_KNOWN_FLAGS or (flags & _TILED and flags & (_DEEP | _MULTI_PART)):
        raise file.broken("is of a version of EXR that is not known")
    is_multi_part = bool(flags & _MULTI_PART)
    texts: dict[str, str] = {}
    parts: list[ExrPart] = []
    left = MOST_ATTRIBUTES
    while True:
        before = left
        values, left = _attributes(file, left)
        if is_multi_part and left == before and parts:
            return ExrFile(tuple(parts), is_multi_part, texts)
        for name in STAMP_NAMES & values.keys():
            texts.setdefault(name, stamp_text(values[name]))
        parts.append(_part(file, values, flags))
        if not is_multi_part:
            return ExrFile(tuple(parts), is_multi_part, texts)
        if len(parts) >= MOST_PARTS:
            raise file.broken(f"has more than {MOST_PARTS} parts")


def _attributes(file: PictureFile, left: int) -> tuple[dict[str, bytes], int]:
    """The attributes of one header that are read, and how many more the others may have."""
    values: dict[str, bytes] = {}
    while name := file.take_name(_NAME_BYTES):
        if not left:
            raise file.broken(f"has more than {MOST_ATTRIBUTES} attributes")
        left -= 1
        kind = file.take_name(_NAME_BYTES)
        size = _INT.unpack(file.take(_INT.size))[0]
        if size < 0:
            raise file.broken("is damaged: an attribute is of a size that can't be")
        if _TYPES.get(name, kind) != kind:
            raise file.broken(f"is damaged: its {name.decode()} is no {_TYPES[name].decode()}")
        begin = file.place
        file.skip(size)
        shown = name.decode("latin-1")
        if name == b"channels":
            values[shown] = file.at(begin, min(size, MOST_CHANNELS * (_NAME_BYTES + 1 + _CHANNEL.size)))
        elif name in _TYPES or (shown in STAMP_NAMES and kind == b"string"):
            values[shown] = file.at(begin, min(size, _KEPT))
    return values, left


def _part(file: PictureFile, values: Mapping[str, bytes], flags: int) -> ExrPart:
    if missing := [name for name in _NEEDED if name not in values]:
        raise file.broken(f"has no {missing[0]}: it is no EXR, or damaged")
    try:
        display, data = (_BOX.unpack(values[name]) for name in ("displayWindow", "dataWindow"))
        tiles = _TILES.unpack(values["tiles"]) if "tiles" in values else None
        chunk_count = _INT.unpack(values["chunkCount"])[0] if "chunkCount" in values else None
        (compression,) = values["compression"]
        pixel_bytes, is_sampled = _channels(values["channels"])
    except (struct.error, ValueError) as error:
        raise file.broken("is damaged: an attribute is of a size that can't be") from error
    for box in (display, data):
        if not all(1 <= high - low + 1 <= MOST_SIDE for low, high in (box[0::2], box[1::2])):
            raise file.broken(f"is {box[2] - box[0] + 1}x{box[3] - box[1] + 1} pixels")
    kind = values.get("type", b"tiledimage" if flags & _TILED else b"scanlineimage").rstrip(b"\0")
    if not flags & (_DEEP | _MULTI_PART):
        # Of a single part the flag counts, and a type that says otherwise is what a careless writer left.
        kind = b"tiledimage" if flags & _TILED else b"scanlineimage"
    if kind not in {b"scanlineimage", b"tiledimage", b"deepscanline", b"deeptile"}:
        raise file.broken("has a part of a type that is not known")
    is_tiled = kind in {b"tiledimage", b"deeptile"}
    if is_tiled and (tiles is None or not (tiles[0] and tiles[1])):
        raise file.broken("is damaged: its tiles have no size")
    return ExrPart(
        display=(display[2] - display[0] + 1, display[3] - display[1] + 1),
        data=data,
        compression=compression,
        is_deep=kind.startswith(b"deep"),
        tiles=tiles if is_tiled else None,
        pixel_bytes=pixel_bytes,
        is_sampled=is_sampled,
        chunk_count=chunk_count,
    )


def _channels(raw: bytes) -> tuple[int, bool]:
    """What a pixel takes, and whether a channel is sampled. Raises ValueError or struct.error for what is no list."""
    place, pixel_bytes, is_sampled, count = 0, 0, False, 0
    while (end := raw.index(b"\0", place)) > place:
        kind, _, x_sampling, y_sampling = _CHANNEL.unpack_from(raw, end + 1)
        if kind not in _SAMPLE_BYTES or x_sampling < 1 or y_sampling < 1:
            raise ValueError("a channel that can't be")
        pixel_bytes += _SAMPLE_BYTES[kind]
        is_sampled = is_sampled or (x_sampling, y_sampling) != (1, 1)
        place, count = end + 1 + _CHANNEL.size, count + 1
    if not 0 < count <= MOST_CHANNELS:
        raise ValueError("no channels, or too many")
    return pixel_bytes, is_sampled
