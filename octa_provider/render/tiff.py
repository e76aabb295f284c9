"""TIFF: its directories, and each strip's or tile's place and size, without decoding a pixel."""

from __future__ import annotations

from dataclasses import dataclass

from octa_provider.render.picture import Picture
from octa_provider.render.picture_file import PictureFile
from octa_provider.render.tiff_directories import TIFF_SIGNATURES, Directory, read_directories

__all__ = ["TIFF_SIGNATURES", "read_tiff"]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_NO_COMPRESSION, _YCBCR, _SEPARATE = 1, 6, 2
MOST_SIDE = 2**24
MOST_SAMPLES = 4096
#: Strips and tiles of all pages.
MOST_BLOCKS = 2**20


@dataclass(frozen=True)
class _Blocks:
    """A page's strips or tiles.

    Attributes:
        offsets: the field that tells where they are.
        lengths: the field that tells how long they are.
        planes: into how many planes its samples are put.
        of_plane: how many each plane has.
        least: bytes that each has at least.
        least_of_last: bytes that the last of each plane has at least.
    """

    offsets: int
    lengths: int
    planes: int
    of_plane: int
    least: int
    least_of_last: int

    @property
    def count(self) -> int:
        """Of all planes."""
        return self.planes * self.of_plane


def read_tiff(file: PictureFile) -> Picture:
    """Check a TIFF, classic or big, of either byte order, of strips or tiles, of one page or several.

    Args:
        file: it, at its first byte.

    Raises:
        BrokenPictureError: it is no TIFF, cut off, was never finished, or is damaged.
    """
    pages: list[tuple[int, int, int]] = []
    left = MOST_BLOCKS
    for directory in read_directories(file):
        if directory.is_page:
            blocks = _blocks(file, directory)
            if (left := left - blocks.count) < 0:
                raise file.broken(f"has more than {MOST_BLOCKS} strips or tiles")
            _check_blocks(directory, blocks)
            pages.append(_size(file, directory))
    width, height, _ = pages[0]
    return Picture("TIFF", width, height, parts=len(pages), decoded_bytes=sum(decoded for _, _, decoded in pages))


def _size(file: PictureFile, page: Directory) -> tuple[int, int, int]:
    """Width, height, and what the pixels of a page take when they are decoded."""
    width, height = page.value(_WIDTH), page.value(_HEIGHT)
    samples, bits = page.value(_SAMPLES, 1), page.value(_BITS, 1)
    if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
        raise file.broken(f"is {width}x{height} pixels")
    if not (0 < samples <= MOST_SAMPLES and 0 < bits <= 64):
        raise file.broken("is damaged: its samples can't be")
    return width, height, width * height * samples * -(-bits // 8)


def _blocks(file: PictureFile, page: Directory) -> _Blocks:
    """What a page's fields say of its strips or tiles."""
    width, height, _ = _size(file, page)
    samples, bits = page.value(_SAMPLES, 1), page.value(_BITS, 1)
    planes = samples if page.value(_PLANAR, 1) == _SEPARATE else 1
    of_one = samples // planes
    # Of other sizes than these can be what shares its colour among pixels.
    is_plain = page.value(_COMPRESSION, 1) == _NO_COMPRESSION and page.value(_PHOTOMETRIC, 1) != _YCBCR
    if _TILE_OFFSETS in page.fields:
        across, down = page.value(_TILE_WIDTH), page.value(_TILE_HEIGHT)
        if not (0 < across <= MOST_SIDE and 0 < down <= MOST_SIDE):
            raise file.broken("is damaged: its tiles have no size")
        least = -(-across * of_one * bits // 8) * down if is_plain else 1
        return _Blocks(_TILE_OFFSETS, _TILE_BYTES, planes, -(-width // across) * -(-height // down), least, least)
    rows = min(page.value(_ROWS, height), height)
    if not rows:
        raise file.broken("is damaged: its strips have no rows")
    line = -(-width * of_one * bits // 8)
    least, least_of_last = (rows * line, ((height - 1) % rows + 1) * line) if is_plain else (1, 1)
    return _Blocks(_STRIP_OFFSETS, _STRIP_BYTES, planes, -(-height // rows), least, least_of_last)


def _check_blocks(page: Directory, blocks: _Blocks) -> None:
    """See that each strip or tile is within the file, and no smaller than it can be."""
    offsets, lengths = page.values(blocks.offsets, blocks.count), page.values(blocks.lengths, blocks.count)
    if min(len(offsets), len(lengths)) < blocks.count:
        raise page.file.broken("is damaged: strips or tiles are missing")
    for number, (offset, length) in enumerate(zip(offsets, lengths, strict=True), 1):
        if not (offset and length):
            raise page.file.broken("was never finished: strips or tiles are missing")
        if offset + length > page.file.size:
            raise page.file.cut()
        if length < (blocks.least if number % blocks.of_plane else blocks.least_of_last):
            raise page.file.broken("is damaged: a strip or tile is of a size that can't be")
