"""PNG: every chunk and its checksum, without decoding a pixel."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from octa_provider.render.picture import Picture
from octa_provider.render.picture_file import PictureFile
from octa_provider.render.stamp import STAMP_NAMES, stamp_of, stamp_text

__all__ = ["PNG_SIGNATURE", "read_png"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")
_SIZE = struct.Struct(">IIBB")
_MAX_CHUNK = 2**31 - 1
#: With pieces of 8 kB, as libpng writes them, it is a file of 8 GB.
MOST_CHUNKS = 2**20
#: Of a chunk only so much is kept: whoever wrote it chose its length.
_KEPT = 512
_PIECE = 64 * 1024
#: Channels, by the colour type.
_CHANNELS: Mapping[int, int] = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}


def read_png(file: PictureFile) -> Picture:
    """Check a PNG from its first byte to its last, checksums included.

    Args:
        file: it, at its first byte.

    Raises:
        BrokenPictureError: it is no PNG, cut off, damaged, or goes on past its end.
    """
    if file.size < len(PNG_SIGNATURE) or file.take(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
        raise file.broken("is no PNG")
    kind, header = _chunk(file)
    if kind != b"IHDR" or len(header) != 13:
        raise file.broken("has no PNG header")
    has_pixels = False
    texts: dict[str, str] = {}
    chunks = 1
    while kind != b"IEND":
        if (chunks := chunks + 1) > MOST_CHUNKS:
            raise file.broken(f"has more than {MOST_CHUNKS} chunks")
        kind, data = _chunk(file)
        has_pixels = has_pixels or (kind == b"IDAT" and data != b"")
        if kind == b"tEXt":
            name, _, text = data.partition(b"\0")
            if (shown := stamp_text(name)) in STAMP_NAMES:
                texts[shown] = stamp_text(text)
    if not has_pixels:
        raise file.broken("has no pixels")
    if file.place < file.size:
        raise file.broken("goes on past the end of its picture")
    width, height, depth, colour = _SIZE.unpack_from(header)
    if not (width and height):
        raise file.broken(f"is {width}x{height} pixels")
    decoded = width * height * _CHANNELS.get(colour, 4) * (2 if depth == 16 else 1)
    return Picture("PNG", width, height, decoded_bytes=decoded, stamp=stamp_of(texts))


def _chunk(file: PictureFile) -> tuple[bytes, bytes]:
    """The kind of the next chunk, and the beginning of what is in it."""
    length, kind = _HEAD.unpack(file.take(_HEAD.size))
    if length > _MAX_CHUNK or length > file.size - file.place:
        raise file.cut()
    kept, checksum, left = b"", zlib.crc32(kind), length
    while left:
        data = file.take(min(left, _PIECE))
        checksum, left = zlib.crc32(data, checksum), left - len(data)
        kept = kept or data[:_KEPT]
    if checksum != int.from_bytes(file.take(4), "big"):
        raise file.broken("is damaged: a checksum is wrong")
    return kind, kept
