"""Files on their way: how far they are, and what ends a transfer that the other side does not end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from octa_provider.errors import OctaSshError
from octa_provider.files.limits import TransferLimits, shown_size
from octa_provider.text.loggers import plain_logger

__all__ = ["OnTransfer", "Transfer", "TransferProgress"]

log = plain_logger("octa_provider.remote.transfer")

T = TypeVar("T")
#: A machine that answers nothing for so long is taken for lost: what is left is sent over a new connection.
STALL_S = 10.0
LOOK_S = 0.25
#: What is ended closes what it has open.
ENDING_S = 2.0
TELL_EVERY_S = 0.5
LOG_EVERY_S = 15.0


@dataclass(frozen=True)
class TransferProgress:
    """How far a transfer is.

    Attributes:
        what: what moves, such as `sending scene.blend`.
        bytes_done, bytes_total: of all files; the total is 0 until it is known.
        files_done, files_total: the same in files.
    """

    what: str
    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int

    def __str__(self) -> str:
        files = f", {self.files_done} of {self.files_total} files" if self.files_total > 1 else ""
        return f"{self.what}: {shown_size(self.bytes_done)} of {shown_size(self.bytes_total)}{files}"


class SizedFile(Protocol):
    """A file that moves, by its name within what is moved."""

    @property
    def name(self) -> bytes:
        """Its name; empty when it is all that is moved."""

    @property
    def size(self) -> int:
        """In bytes."""


OnTransfer = Callable[[TransferProgress], object]


class Transfer:
    """One transfer, over however many connections it takes.

    Args:
        what: what moves, such as `sending scene.blend`.
        limits: how much may be moved, and how slowly.
        timeout_s: seconds that it may take; None takes what the limits allow for its size.
        tell: handed how far it is, now and then.

    Attributes:
        total_bytes, total_files: what is to be moved, once known.
        entries: files and folders seen so far.
    """

    def __init__(
        self,
        what: str,
        limits: TransferLimits,
        timeout_s: float | None = None,
        tell: OnTransfer | None = None,
    ) -> None:
        self._what = what
        self.limits = limits
        self._timeout_s = timeout_s
        self._tell = tell
        self._began = self._moved_at = self._told_at = self._logged_at = time.monotonic()
        self.total_bytes = self.total_files = self.entries = 0
        self._bytes = self._files = self._furthest = 0
        self._stall_s = STALL_S

    def begin(self, files: Sequence[SizedFile], folders: int, done: Container[bytes]) -> None:
        """What is to be moved is known, and what of it an earlier connection has moved.

        Args:
            files: all of them.
            folders: how many there are beside them.
            done: the names of the files that have been moved.
        """
        moved = [file for file in files if file.name in done]
        self.total_bytes, self.total_files = sum(file.size for file in files), len(files)
        self.entries = max(len(files) + folders, self.entries)
        self._bytes, self._files = sum(file.size for file in moved), len(moved)

    def moved(self, size: int = 0, files: int = 0) -> None:
        """The machine has answered, and so much has arrived.

        Args:
            size: bytes.
            files: whole files.
        """
        self._bytes += size
        self._files += files
        self._furthest = max(self._furthest, self._bytes + self._files)
        self._moved_at = now = time.monotonic()
        if now - self._told_at >= TELL_EVERY_S or (files and self._files == self.total_files):
            self._told_at = now
            if self._tell is not None:
                self._tell(self.progress)
        if now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            log.info("%s", self.progress)

    @property
    def furthest(self) -> int:
        """Grows when more has arrived than ever; what only answers, or sends the same again, moves nothing."""
        return self._furthest

    @property
    def progress(self) -> TransferProgress:
        """How far it is."""
        return TransferProgress(self._what, self._bytes, self.total_bytes, self._files, self.total_files)

    @property
    def left_s(self) -> float:
        """Seconds that it may still take."""
        allowed = self._timeout_s
        if allowed is None:
            allowed = self.limits.time_for(self.total_bytes, self.entries)
        return allowed - (time.monotonic() - self._began)

    async def guarded(self, work: Coroutine[Any, Any, T]) -> T:
        """Do a part of it, ended when the machine does not answer, or when the whole takes too long.

        Raises:
            OctaSshError: it was ended.
        """
        task = asyncio.ensure_future(work)
        self._moved_at = time.monotonic()
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=LOOK_S)
                if done:
                    return task.result()
                if self.left_s <= 0:
                    raise OctaSshError(f"{self.progress}: it took too long")
                if time.monotonic() - self._moved_at > self._stall_s:
                    raise OctaSshError(f"{self.progress}: no answer for {self._stall_s:g} s", lost=True)
        finally:
            if task.cancel():
                await asyncio.wait({task}, timeout=ENDING_S)

    async def unanswered(self, work: Coroutine[Any, Any, T], within_s: float) -> T:
        """Do something within it that answers only when it is done, such as adding a large file up.

        Args:
            work: what is done.
            within_s: seconds that it may take.
        """
        before, self._stall_s = self._stall_s, max(self._stall_s, within_s)
        try:
            return await asyncio.wait_for(work, within_s)
        finally:
            self._stall_s, self._moved_at = before, time.monotonic()
