"""OpenEXR: its headers, its offset tables, and each chunk's place and size, without decoding a pixel."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Mapping

from octa_provider.render.exr_header import EXR_MAGIC, ExrFile, ExrPart, read_headers
from octa_provider.render.picture import Picture
from octa_provider.render.picture_file import WINDOW_BYTES, PictureFile
from octa_provider.render.stamp import stamp_of

__all__ = ["EXR_MAGIC", "read_exr"]

#: Of all parts together. A picture of 32,768 pixels a side in tiles of 32 has as many.
MOST_CHUNKS = 2**20
_INT = struct.Struct("<i")
_DEEP_SIZES = struct.Struct("<3Q")
_OFFSET_BYTES = 8
#: Lines in one chunk, by the compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB, HTJ2K256, HTJ2K32.
_LINES: Mapping[int, int] = dict(enumerate((1, 1, 1, 16, 32, 16, 32, 32, 32, 256, 256, 32)))
_NO_COMPRESSION = 0
_MIPMAP, _RIPMAP = 1, 2


def read_exr(file: PictureFile) -> Picture:
    """Check an EXR of one part or several, of lines or tiles, flat or deep.

    Every chunk that the header promises must be in an offset table, lie within the file, be the one that its place in
    the table says, and be no larger than its pixels; none may lie over another, and the last ends where the file does.

    Args:
        file: it, at its first byte.

    Raises:
        BrokenPictureError: it is no EXR, cut off, was never finished, or is damaged.
    """
    headers = read_headers(file)
    counts = [_chunk_count(file, part) for part in headers.parts]
    if sum(counts) > MOST_CHUNKS:
        raise file.broken(f"has more than {MOST_CHUNKS} chunks")
    begin = file.place + _OFFSET_BYTES * sum(counts)
    if begin > file.size:
        raise file.cut()
    offsets, ends = array("Q"), array("Q")
    for number, (part, count) in enumerate(zip(headers.parts, counts, strict=True)):
        table = _table(file, count)
        for place, coordinates, most_bytes in zip(table, _coordinates(part), _sizes(part), strict=True):
            if place < begin:
                raise file.broken("was never finished: its offset table has holes")
            ends.append(_end(file, headers, number, place, coordinates, most_bytes))
        offsets.extend(table)
    _check_order(file, offsets, ends)
    first = headers.parts[0]
    deep = any(part.is_deep for part in headers.parts)
    decoded = sum(part.width * part.height * part.pixel_bytes for part in headers.parts)
    return Picture(
        "EXR",
        *first.display,
        parts=len(headers.parts),
        decoded_bytes=None if deep else decoded,
        stamp=stamp_of(headers.texts),
    )


def _table(file: PictureFile, count: int) -> array[int]:
    table = array("Q")
    for done in range(0, count, WINDOW_BYTES // _OFFSET_BYTES):
        table.frombytes(file.take(_OFFSET_BYTES * min(count - done, WINDOW_BYTES // _OFFSET_BYTES)))
    if sys.byteorder == "big":
        table.byteswap()
    return table


def _check_order(file: PictureFile, offsets: array[int], ends: array[int]) -> None:
    """Refuse chunks that lie over each other, and a file that goes on past them."""
    last = 0
    for at in sorted(range(len(offsets)), key=offsets.__getitem__):
        if offsets[at] < last:
            raise file.broken("is damaged: its chunks lie over each other")
        last = ends[at]
    if last != file.size:
        raise file.broken("goes on past the end of its picture")


def _end(
    file: PictureFile, headers: ExrFile, number: int, place: int, coordinates: tuple[int, ...], most_bytes: int
) -> int:
    """Where a chunk ends, after it was seen to be the one that belongs here."""
    part = headers.parts[number]
    expected = (number, *coordinates) if headers.is_multi_part else coordinates
    head_bytes = _INT.size * len(expected)
    size_bytes = _DEEP_SIZES.size if part.is_deep else _INT.size
    head = file.at(place, head_bytes + size_bytes)
    if struct.unpack_from(f"<{len(expected)}i", head) != expected:
        raise file.broken("is damaged: a chunk is not where its table says")
    if part.is_deep:
        table_bytes, packed_bytes, _ = _DEEP_SIZES.unpack_from(head, head_bytes)
        size = table_bytes + packed_bytes
    else:
        size = _INT.unpack_from(head, head_bytes)[0]
        if not 0 < size <= most_bytes or (
            part.compression == _NO_COMPRESSION and not part.is_sampled and size != most_bytes
        ):
            raise file.broken("is damaged: a chunk is of a size that can't be")
    end: int = place + len(head) + size
    if end > file.size:
        raise file.cut()
    return end


def _chunk_count(file: PictureFile, part: ExrPart) -> int:
    if part.tiles is not None:
        count = sum(across * down for _, _, _, _, across, down in _levels(part))
    elif part.compression in _LINES:
        count = -(-part.height // _LINES[part.compression])
    else:
        raise file.broken(f"has the compression {part.compression}, which is not known")
    if part.chunk_count is not None and part.chunk_count != count:
        raise file.broken("is damaged: it says another number of chunks than its size gives")
    return count


def _coordinates(part: ExrPart) -> Iterator[tuple[int, ...]]:
    """What each chunk says of itself, in the order of the table."""
    if part.tiles is None:
        yield from ((line,) for line in range(part.data[1], part.data[3] + 1, _LINES[part.compression]))
        return
    for level_x, level_y, _, _, across, down in _levels(part):
        for row in range(down):
            yield from ((column, row, level_x, level_y) for column in range(across))


def _sizes(part: ExrPart) -> Iterator[int]:
    """What the pixels of each chunk take when they are decoded, in the order of the table."""
    if part.tiles is None:
        lines = _LINES[part.compression]
        for line in range(0, part.height, lines):
            yield part.width * min(lines, part.height - line) * part.pixel_bytes
        return
    tile_width, tile_height, _ = part.tiles
    for _, _, width, height, across, down in _levels(part):
        for row in range(down):
            tall = min(tile_height, height - row * tile_height)
            yield from (
                min(tile_width, width - column * tile_width) * tall * part.pixel_bytes for column in range(across)
            )


def _levels(part: ExrPart) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The levels of a tiled part: their numbers across and down, width and height, tiles across and down."""
    tile_width, tile_height, mode = part.tiles or (1, 1, 0)
    rounds_up = bool(mode >> 4)
    if mode & 15 == _RIPMAP:
        across, down = _level_count(part.width, rounds_up), _level_count(part.height, rounds_up)
        numbers = [(x, y) for y in range(down) for x in range(across)]
    elif mode & 15 == _MIPMAP:
        numbers = [(level, level) for level in range(_level_count(max(part.width, part.height), rounds_up))]
    else:
        numbers = [(0, 0)]
    for level_x, level_y in numbers:
        width, height = _halved(part.width, level_x, rounds_up), _halved(part.height, level_y, rounds_up)
        yield level_x, level_y, width, height, -(-width // tile_width), -(-height // tile_height)


def _level_count(size: int, rounds_up: bool) -> int:
    return ((size - 1).bit_length() if rounds_up else size.bit_length() - 1) + 1


def _halved(size: int, times: int, rounds_up: bool) -> int:
    return max(1, (size + ((1 << times) - 1 if rounds_up else 0)) >> times)
