"""How much a transfer may move: a machine belongs to a stranger, and may send what it likes for as long as it likes."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from octa_provider.errors import OctaConfigError, OctaLocalFileError, OctaSshError

__all__ = ["TransferLimits", "shown_size"]

GIB = 1024**3


@dataclass(frozen=True)
class TransferLimits:
    """How much one transfer may move. Each limit is told before anything of it is moved.

    Args:
        max_bytes: all files together.
        max_entries: files, folders and links.
        max_depth: folders within folders.
        least_bytes_per_s: as slow as a line may be; with `setup_s` it gives the longest time of a transfer.
        setup_s: seconds that a transfer may take whatever its size.
        keep_free_bytes: room on this machine's disk that is left alone.
    """

    max_bytes: int = 1024 * GIB
    max_entries: int = 100_000
    max_depth: int = 64
    least_bytes_per_s: float = 128 * 1024.0
    setup_s: float = 300.0
    keep_free_bytes: int = GIB // 4

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_entries", "max_depth", "least_bytes_per_s", "setup_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise OctaConfigError(f"{name} must be a number above 0, not {value!r}")

    def time_for(self, size: int, entries: int) -> float:
        """Seconds that it may take to move so many bytes in so many files and folders.

        Args:
            size: bytes, all together.
            entries: files and folders.
        """
        return self.setup_s + size / self.least_bytes_per_s + entries * 0.5

    def check(self, what: str, *, size: int = 0, entries: int = 0, depth: int = 0) -> None:
        """Raise OctaSshError where a limit is passed; `what` is what holds so much.

        Args:
            what: what holds so much, for the error.
            size: bytes in it.
            entries: files and folders in it.
            depth: how deeply its folders are nested.
        """
        if entries > self.max_entries:
            raise OctaSshError(f"{what} holds more than {self.max_entries} files and folders: pack them into one file")
        if depth > self.max_depth:
            raise OctaSshError(f"{what} has folders nested deeper than {self.max_depth}: pack them into one file")
        if size > self.max_bytes:
            raise OctaSshError(f"{what} is {shown_size(size)}, and the limit {shown_size(self.max_bytes)}: not moved")

    def check_room(self, size: int, folder: Path) -> None:
        """Raise OctaLocalFileError where the disk of a folder of this machine has no room for so many bytes.

        Args:
            size: bytes that are to come.
            folder: one that exists.
        """
        free = shutil.disk_usage(folder).free - self.keep_free_bytes
        if size > free:
            raise OctaLocalFileError(
                f"{folder} has room for {shown_size(max(free, 0))}, and {shown_size(size)} are to be fetched: make room"
            )


def shown_size(size: int) -> str:
    """A number of bytes for people."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def existing_folder(path: Path) -> Path:
    """The nearest folder at or above a path that exists."""
    for one in (path, *path.parents):
        if os.path.isdir(one):  # noqa: PTH112 - False for a name that is too long
            return one
    return Path("/")
