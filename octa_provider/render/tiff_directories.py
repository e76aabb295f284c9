"""TIFF's directories: the fields that tell where pixels are, classic and BigTIFF, each of them bounded."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from octa_provider.render.picture_file import PictureFile

__all__ = ["TIFF_SIGNATURES", "Directory", "TiffField", "read_directories"]

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Pages, and the directories within them. A renderer writes one.
MOST_DIRECTORIES = 10_000
MOST_FIELDS = 100_000
#: Bytes of a value, by its type.
_VALUE_BYTES: Mapping[int, int] = {
    **{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4},
    **{16: 8, 17: 8, 18: 8},
}
_CODES: Mapping[int, str] = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
#: Fields that lead to directories of their own: thumbnails, EXIF, GPS.
_WITHIN = frozenset({330, 34665, 34853, 40965})
_PIECE = 64 * 1024


@dataclass(frozen=True)
class TiffField:
    """A field, whose values lie within the file.

    Attributes:
        kind: the type of its values.
        count: how many it has.
        place: where they are.
    """

    kind: int
    count: int
    place: int


@dataclass(frozen=True)
class Directory:
    """A directory: a page, or what belongs to one.

    Attributes:
        file: where it is.
        order: of its bytes.
        fields: by their tags.
        is_page: whether it stands in the chain of pages.
    """

    file: PictureFile
    order: Literal["little", "big"]
    fields: Mapping[int, TiffField]
    is_page: bool

    def value(self, tag: int, default: int | None = None) -> int:
        """The first value of a field of whole numbers.

        Args:
            tag: which field.
            default: what it is when it is left out; None where it must be there.
        """
        if tag not in self.fields and default is not None:
            return default
        return self.values(tag, most=1)[0]

    def values(self, tag: int, most: int) -> array[int]:
        """The values of a field of whole numbers.

        Args:
            tag: which field.
            most: no more of them than that are read.
        """
        field = self.fields.get(tag)
        if field is None or field.kind not in _CODES or not field.count:
            raise self.file.broken(f"is damaged: it has no field {tag}, or one that can't be")
        values = array(_CODES[field.kind])
        left, place = min(field.count, most) * values.itemsize, field.place
        while left:
            values.frombytes(data := self.file.at(place, min(left, _PIECE)))
            left, place = left - len(data), place + len(data)
        if self.order != sys.byteorder:
            values.byteswap()
        return values


def read_directories(file: PictureFile) -> Iterator[Directory]:
    """Each directory of a file once: pages, and those that they lead to.

    Args:
        file: it, at its first byte.

    Raises:
        BrokenPictureError: it is no TIFF, is cut off, or its directories lead in a circle.
    """
    if file.size < 8 or (signature := file.take(4)) not in TIFF_SIGNATURES:
        raise file.broken("is no TIFF")
    order: Literal["little", "big"] = "little" if signature.startswith(b"II") else "big"
    sign = "<" if order == "little" else ">"
    is_big = b"+" in signature
    if is_big and file.take(4) != struct.pack(f"{sign}HH", 8, 0):
        raise file.broken("is of a version of TIFF that is not known")
    offset = struct.Struct(f"{sign}{'Q' if is_big else 'I'}")
    count = struct.Struct(f"{sign}{'Q' if is_big else 'H'}")
    entry = struct.Struct(f"{sign}HH{'Q8s' if is_big else 'I4s'}")
    waiting = [(offset.unpack(file.take(offset.size))[0], True)]
    if not waiting[0][0]:
        raise file.broken("was never finished: it has no directory")
    seen: set[int] = set()
    left = MOST_FIELDS
    while waiting:
        begin, is_page = waiting.pop()
        if begin in seen:
            raise file.broken("is damaged: its directories lead in a circle")
        seen.add(begin)
        entries = count.unpack(file.at(begin, count.size))[0]
        if (left := left - entries) < 0:
            raise file.broken(f"has more than {MOST_FIELDS} fields")
        place = begin + count.size
        fields: dict[int, TiffField] = {}
        for _ in range(entries):
            tag, kind, values, own = entry.unpack(file.at(place, entry.size))
            size = _VALUE_BYTES.get(kind, 0) * values
            where = place + entry.size - len(own) if size <= len(own) else offset.unpack(own)[0]
            if where + size > file.size:
                raise file.cut()
            fields.setdefault(tag, TiffField(kind, values, where))
            place += entry.size
        directory = Directory(file, order, fields, is_page)
        following = offset.unpack(file.at(place, offset.size))[0]
        if is_page and following:
            waiting.append((following, True))
        for tag in _WITHIN & fields.keys():
            waiting.extend((where, False) for where in directory.values(tag, most=MOST_DIRECTORIES) if where)
        if len(seen) + len(waiting) > MOST_DIRECTORIES:
            raise file.broken(f"has more than {MOST_DIRECTORIES} directories")
        yield directory
