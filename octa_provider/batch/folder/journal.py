"""The journal of a batch: a line for each thing that happened, on the disk before anything is built upon it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec

from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.lines import Line
from octa_provider.files.local_files import shown
from octa_provider.text.loggers import plain_logger

__all__ = ["Journal", "JournalLines"]

log = plain_logger("octa_provider.batch.folder.journal")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode
_READ_AHEAD = 1024 * 1024
#: So many damaged lines are told by their numbers.
_TOLD = 3


class Journal:
    """The journal, open for appending by the one who holds the folder's lock. Use it as a context manager.

    What a crash tore off at its end is cut away when it is opened, so that the next line begins on a line of its own.

    Args:
        path: where it is; made when missing.

    Raises:
        OctaLocalFileError: it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors("opened", path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o666)
        try:
            with disk_errors("read", path):
                self._end = _end_of_lines(self._descriptor)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def is_in_place(self) -> bool:
        """Whether the file that is written to is the one that lies there: not when its folder was moved or removed."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path))
        except OSError:
            return False

    def append(self, *lines: Line) -> None:
        """Add lines, and return when the disk has them.

        Args:
            lines: in their order.

        Raises:
            OctaLocalFileError: they can't be written; then none of them counts.
        """
        data = b"".join(_encode(line) + b"\n" for line in lines)
        with disk_errors("written", self._path):
            # What an append that failed has left behind is no part of it.
            os.ftruncate(self._descriptor, self._end)
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        self._end += len(data)


class JournalLines:
    """Each line of a journal that can be read, in order. A line that can't costs nothing but itself.

    Args:
        path: where it is; where there is none, it has no lines.

    Attributes:
        damaged: how many lines could not be read, as far as it was gone through.
        is_torn: whether its end is no whole line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damaged = 0
        self.is_torn = False

    def __iter__(self) -> Iterator[Line]:
        """The lines.

        Raises:
            OctaLocalFileError: the file can't be read.
        """
        self.damaged, self.is_torn = 0, False
        with disk_errors("read", self._path):
            try:
                file = open(self._path, "rb", buffering=_READ_AHEAD)  # noqa: SIM115 - closed below
            except FileNotFoundError:
                return
        with file:
            for number in count(1):
                with disk_errors("read", self._path):
                    raw = file.readline()
                # A line without an end was never finished, and never built upon.
                if not raw.endswith(b"\n"):
                    self.is_torn = bool(raw)
                    break
                try:
                    line = _decode(raw)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    self._damaged(number)
                    continue
                yield line
        if self.damaged > _TOLD:
            log.warning("%d lines of %s are damaged: they are left out", self.damaged, shown(self._path))

    def _damaged(self, number: int) -> None:
        self.damaged += 1
        if self.damaged <= _TOLD:
            log.warning("line %d of %s is damaged: it is left out", number, shown(self._path))


def _end_of_lines(descriptor: int) -> int:
    """Where the last whole line ends."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - _READ_AHEAD)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0
