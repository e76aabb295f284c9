"""A picture's file, read in small pieces: its lengths and offsets are a stranger's, and none of them is believed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from octa_provider.files.local_files import shown
from octa_provider.render.picture import BrokenPictureError

__all__ = ["PictureFile", "open_picture"]

#: Read ahead where headers are read one field after the other.
WINDOW_BYTES = 64 * 1024


class PictureFile:
    """An open file. Whatever does not lie within it is refused with `BrokenPictureError`.

    Args:
        descriptor: of the file, open for reading.
        path: what messages call it.
        size: in bytes.

    Attributes:
        size: in bytes, when it was opened.
        place: where `take` reads next.
    """

    def __init__(self, descriptor: int, path: str | os.PathLike[str], size: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self.size = size
        self.place = 0
        self._window = b""
        self._window_begin = 0

    def broken(self, flaw: str) -> BrokenPictureError:
        """The error for this file.

        Args:
            flaw: a clause such as `is cut off`.
        """
        return BrokenPictureError(f"{shown(self._path)} {flaw}", flaw=flaw)

    def cut(self) -> BrokenPictureError:
        """The error for a file that ends too early, or points past its end."""
        return self.broken("is cut off")

    def take(self, count: int) -> bytes:
        """The next bytes, and move past them.

        Args:
            count: how many; no more than `WINDOW_BYTES`.
        """
        begin = self.place - self._window_begin
        if not 0 <= begin <= len(self._window) - count:
            self._window, self._window_begin, begin = self._read(self.place, WINDOW_BYTES), self.place, 0
        if len(data := self._window[begin : begin + count]) < count:
            raise self.cut()
        self.place += count
        return data

    def take_name(self, most: int) -> bytes:
        """The bytes before the next zero byte, and move past it.

        Args:
            most: more bytes than that are no name.
        """
        begin = self.place - self._window_begin
        if not 0 <= begin < len(self._window) - most:
            self._window, self._window_begin, begin = self._read(self.place, WINDOW_BYTES), self.place, 0
        end = self._window.find(b"\0", begin, begin + most + 1)
        if end < 0:
            if len(self._window) - begin <= most:
                raise self.cut()
            raise self.broken("is damaged: a name has no end")
        self.place += end + 1 - begin
        return self._window[begin:end]

    def skip(self, count: int) -> None:
        """Move on, within the file."""
        if count > self.size - self.place:
            raise self.cut()
        self.place += count

    def at(self, place: int, count: int) -> bytes:
        """Bytes from anywhere in the file; `place` stays.

        Args:
            place: where they begin.
            count: how many; the caller has bounded it.
        """
        if not 0 <= place <= self.size - count:
            raise self.cut()
        if len(data := self._read(place, count)) < count:
            raise self.cut()
        return data

    def pieces(self, begin: int, piece: int = 4 * WINDOW_BYTES) -> Iterator[bytes]:
        """The file from there to its end, a piece at a time."""
        while data := self._read(begin, piece):
            yield data
            begin += len(data)

    def _read(self, place: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, place)


@contextmanager
def open_picture(path: str | os.PathLike[str]) -> Iterator[PictureFile]:
    """Open a file to look at, and close it afterwards.

    Args:
        path: where it is. A pipe or a device is refused, and not waited for.

    Raises:
        OSError: it can't be opened or read, or is a folder.
        BrokenPictureError: it is no file, or is empty.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(descriptor)
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        file = PictureFile(descriptor, path, info.st_size)
        if not stat.S_ISREG(info.st_mode):
            raise file.broken("is no file")
        if not info.st_size:
            raise file.broken("is empty")
        yield file
    finally:
        os.close(descriptor)
