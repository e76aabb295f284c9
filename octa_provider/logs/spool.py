"""Text that is too long to hold: in a file, of bounded size, read at any offset."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MOST_BYTES", "EndOfText", "SpooledText"]

log = plain_logger("octa_provider.logs.spool")

#: A stranger's machine prints as much as it likes, and every look brings all of it: so much of it is kept.
MOST_BYTES = 1024 * 1024 * 1024
#: Where the disk has no room for more than that, the end of the text is kept in memory.
LEAST_BYTES = 1024 * 1024


class SpooledText:
    """UTF-8 text in a file, read at any offset. Close it, or use it as a context manager.

    Args:
        file: an open binary file that holds the text; it is closed with this object.
        size: bytes in it.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self.size = size

    @classmethod
    def of(cls, text: str | bytes) -> SpooledText:
        """A text that is in memory already.

        Args:
            text: the text, or its bytes in UTF-8.
        """
        data = text.encode("utf-8", "replace") if isinstance(text, str) else text
        return cls(io.BytesIO(data), len(data))

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`.

        Args:
            offset: bytes from the beginning.
            length: bytes, at most.
        """
        self._file.seek(offset)
        return self._file.read(length)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class EndOfText(SpooledText):
    """The last part of a text of any length: what is written once the file is full takes the place of its beginning.

    A disk that is full makes it full too, and fails nothing: the end of a log tells more than its beginning, and holds
    the exit code of a job.

    Args:
        folder: where the file is made; the system's choice when None.
        most_bytes: how much is kept.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        try:
            # Unbuffered: what was not written must be known now, and not when it is closed.
            file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed with this object
        except OSError as error:
            log.warning(
                "no temporary file can be made, so %d bytes of a log are kept in memory: %s", LEAST_BYTES, error
            )
            file, self._most = io.BytesIO(), min(most_bytes, LEAST_BYTES)
        super().__init__(file, 0)
        self._at = 0
        self.is_cut = False

    def clear(self) -> None:
        """Begin anew."""
        self._at = self.size = 0
        self.is_cut = False

    def write(self, data: bytes) -> None:
        """Take the next piece.

        Args:
            data: bytes of any number.
        """
        while data:
            room = self._most - self._at
            piece, data = data[:room], data[room:]
            if not self._put(piece):
                data = piece + data
                continue
            self._at += len(piece)
            if self._at == self._most:
                self._at = 0
            if self.is_cut:
                continue
            self.size += len(piece)
            if self.size == self._most:
                self.is_cut = True
                log.warning("a log is longer than %d bytes: its beginning is left out from now on", self._most)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` of what is kept.

        Args:
            offset: bytes from the beginning of that.
            length: bytes, at most.
        """
        length = max(0, min(length, self.size - offset))
        first = (self._at + offset) % self.size if self.is_cut else offset
        begun = self._whole(first, min(length, self.size - first))
        return begun + self._whole(0, length - len(begun)) if len(begun) < length else begun

    def _whole(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        data = b""
        while len(data) < length and (piece := self._file.read(length - len(data))):
            data += piece
        return data

    def _put(self, piece: bytes) -> bool:
        """Write a piece; False when there is no room for it, and less is kept from now on."""
        try:
            self._file.seek(self._at)
            left = memoryview(piece)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._keep_less(error)
            return False
        return True

    def _keep_less(self, error: OSError) -> None:
        if self._at >= LEAST_BYTES and not self.is_cut:
            log.warning("no room for more than the last %d bytes of a log: %s", self._at, error)
            self._most, self.size, self._at, self.is_cut = self._at, self._at, 0, True
            return
        log.warning("no room for a log on this disk: its last %d bytes are kept in memory: %s", LEAST_BYTES, error)
        self._most = min(self._most, LEAST_BYTES)
        try:
            kept = self.read(max(0, self.size - self._most), self._most)
        except OSError:
            kept = b""
        self._file.close()
        self._file = io.BytesIO(kept)
        self.size, self.is_cut = len(kept), len(kept) == self._most
        self._at = self.size % self._most
