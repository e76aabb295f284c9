"""JPEG: its segments, its scans, and the mark at its end, without decoding a pixel."""

from __future__ import annotations

import re

from octa_provider.render.picture import Picture
from octa_provider.render.picture_file import PictureFile
from octa_provider.render.stamp import STAMP_NAMES, stamp_of, stamp_text

__all__ = ["JPEG_SIGNATURE", "read_jpeg"]

JPEG_SIGNATURE = b"\xff\xd8\xff"
#: All of them, each of four bytes at least. More than that has no encoder's file.
MOST_SEGMENTS = 10_000
MOST_FILL_BYTES = 1024
_EOI, _SOS, _APP2, _COM = 0xD9, 0xDA, 0xE2, 0xFE
#: Frame headers: baseline, progressive, lossless, arithmetic; not DHT, JPG and DAC between them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Within a scan: a byte of 255, and restarts.
_OF_SCAN = frozenset({0x00, *range(0xD0, 0xD8)})
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_KEPT = 512


def read_jpeg(file: PictureFile) -> Picture:
    """Check a JPEG from its first mark to its last.

    Args:
        file: it, at its first byte.

    Raises:
        BrokenPictureError: it is no JPEG, cut off, has a part that can't be, or goes on past its end.
    """
    if file.size < len(JPEG_SIGNATURE) or file.take(2) != JPEG_SIGNATURE[:2]:
        raise file.broken("is no JPEG")
    size: tuple[int, int, int] | None = None
    texts: dict[str, str] = {}
    has_pixels = has_more_pictures = False
    for _ in range(MOST_SEGMENTS):
        mark = _mark(file)
        if mark == _EOI:
            break
        if mark in _OF_SCAN or mark == 0x01:
            raise file.broken("is damaged: a mark stands where none can be")
        length = int.from_bytes(file.take(2), "big") - 2
        if length < 0:
            raise file.broken("is damaged: a length is wrong")
        begin = file.place
        file.skip(length)
        data = file.at(begin, min(length, _KEPT))
        if mark in _FRAMES:
            if size is not None or length < 6 or length < 6 + 3 * data[5]:
                raise file.broken("is damaged: its header is wrong")
            size = (int.from_bytes(data[3:5], "big"), int.from_bytes(data[1:3], "big"), data[5])
        elif mark == _SOS:
            if size is None:
                raise file.broken("has no JPEG header")
            _skip_scan(file)
            has_pixels = has_pixels or file.place > begin + length
        elif mark == _APP2:
            has_more_pictures = has_more_pictures or data.startswith(b"MPF\0")
        elif mark == _COM and data.startswith(b"Blender:"):
            name, _, text = stamp_text(data.rstrip(b"\0")).removeprefix("Blender:").partition(":")
            if name in STAMP_NAMES:
                texts[name] = text
    else:
        raise file.broken(f"has more than {MOST_SEGMENTS} segments")
    if size is None or not has_pixels:
        raise file.broken("has no pixels")
    # Of several pictures in one file only the first is looked at.
    if file.place < file.size and not has_more_pictures:
        raise file.broken("goes on past the end of its picture")
    width, height, channels = size
    if not (width and height and channels):
        raise file.broken(f"is {width}x{height} pixels")
    return Picture("JPEG", width, height, decoded_bytes=width * height * channels, stamp=stamp_of(texts))


def _mark(file: PictureFile) -> int:
    """The next mark; some 255 may stand before it."""
    if file.take(1) != b"\xff":
        raise file.broken("is damaged: a mark is missing")
    for _ in range(MOST_FILL_BYTES):
        if (mark := file.take(1)[0]) != 0xFF:
            return mark
    raise file.broken("is damaged: a mark is missing")


def _skip_scan(file: PictureFile) -> None:
    """Move to the mark that ends a scan."""
    begin, held = file.place, b""
    for piece in file.pieces(begin):
        if found := _END_OF_SCAN.search(data := held + piece):
            file.place = begin - len(held) + found.start()
            return
        held = b"\xff" if data.endswith(b"\xff") else b""
        begin += len(piece)
    raise file.cut()
