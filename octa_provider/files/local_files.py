"""Files of this machine that are to be sent: what is in a folder, by its contents, and what can't be read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from octa_provider.errors import OctaConfigError, OctaLocalFileError, OctaSshError
from octa_provider.files.limits import TransferLimits
from octa_provider.files.marks import is_mark
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import plain

__all__ = ["LocalFile", "LocalTree", "digest_of", "expanded", "sha256_of"]

log = plain_logger("octa_provider.files.local_files")

BLOCK_BYTES = 1024 * 1024
#: A file that was written a moment ago may be written again within the same tick of its clock.
SETTLED_NS = 2_000_000_000
#: Sums of small files are quicker made than looked up.
REMEMBERED_BYTES = 1024 * 1024
REMEMBERED_SUMS = 4096


@dataclass(frozen=True)
class LocalFile:
    """A file that is to be sent.

    Attributes:
        name: below what is sent, with slashes, as bytes; empty when the file itself is what is sent.
        path: where its contents are.
        size: in bytes.
        mode: its permissions.
        mtime: Unix time of its last change, in whole seconds.
    """

    name: bytes
    path: Path
    size: int
    mode: int
    mtime: int


@dataclass
class LocalTree:
    """What is at a path: a file, or a folder with all in it. Links are followed: what they lead to is what is sent.

    Attributes:
        path: the path.
        is_folder: whether it is a folder.
        files: its files.
        folders: its folders, by their names below it and their permissions, parents first.
    """

    path: Path
    is_folder: bool
    files: list[LocalFile] = field(default_factory=list)
    folders: list[tuple[bytes, int]] = field(default_factory=list)

    @classmethod
    def at(cls, local: str | os.PathLike[str], limits: TransferLimits | None = None) -> LocalTree:
        """Look at a path. Links that lead in a circle or nowhere, and special files within a folder, are left out.

        Args:
            local: the path; `~` is the home folder.
            limits: how much there may be; the usual limits when left out.

        Raises:
            OctaConfigError: there is nothing, it can't be read, or it is no file or folder.
        """
        path = expanded(local)
        limits = limits or TransferLimits()
        try:
            info = path.stat()
        except OSError as error:
            reason = (
                "does not exist" if error.errno in {errno.ENOENT, errno.ENOTDIR} else f"can't be read: {error.strerror}"
            )
            raise OctaConfigError(f"{shown(path)} {reason}: nothing to send") from error
        tree = cls(path, stat.S_ISDIR(info.st_mode))
        if not tree.is_folder:
            if not stat.S_ISREG(info.st_mode):
                raise OctaConfigError(f"{shown(path)} is a pipe, socket or device: only files and folders can be sent")
            tree._add(b"", path, info)
            return tree
        try:
            tree._walk(b"", path, ((info.st_dev, info.st_ino),), limits)
            limits.check(shown(path), size=tree.size)
        except OctaLocalFileError as error:
            raise OctaConfigError(str(error)) from error
        except OctaSshError as error:
            raise OctaConfigError(str(error)) from error
        return tree

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)

    def digest(self) -> str:
        """The SHA-256 sum of what would be sent: names, contents, and what may be executed."""
        whole = hashlib.sha256()
        for name, _ in sorted(self.folders):
            whole.update(b"folder %d %s\0" % (len(name), name))
        for file in sorted(self.files, key=lambda one: one.name):
            kind = b"program" if file.mode & 0o100 else b"file"
            whole.update(b"%s %d %s %s\0" % (kind, len(file.name), file.name, digest_of(file.path).encode()))
        return whole.hexdigest()

    def _walk(self, name: bytes, folder: Path, above: tuple[tuple[int, int], ...], limits: TransferLimits) -> None:
        limits.check(shown(self.path), depth=len(above))
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise unreadable(folder, error) from error
        for entry in entries:
            path, below = Path(entry.path), name + b"/" * bool(name) + os.fsencode(entry.name)
            try:
                info = path.stat()
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.ELOOP}:
                    log.warning("%s leads nowhere: not sent", shown(path))
                    continue
                raise unreadable(path, error) from error
            identity = (info.st_dev, info.st_ino)
            if stat.S_ISDIR(info.st_mode):
                if identity in above:
                    log.warning("%s leads back to a folder that it is in: not sent", shown(path))
                    continue
                self.folders.append((below, stat.S_IMODE(info.st_mode) & 0o777 | 0o700))
                self._walk(below, path, (*above, identity), limits)
            elif stat.S_ISREG(info.st_mode):
                if not is_mark(os.fsencode(entry.name)):
                    self._add(below, path, info)
            else:
                log.warning("%s is a pipe, socket or device: not sent", shown(path))
            limits.check(shown(self.path), entries=len(self.files) + len(self.folders))

    def _add(self, name: bytes, path: Path, info: os.stat_result) -> None:
        if not os.access(path, os.R_OK):
            raise OctaConfigError(f"{shown(path)} can't be read by this user: Permission denied")
        mode = stat.S_IMODE(info.st_mode) & 0o777 | 0o400
        self.files.append(LocalFile(name, path, info.st_size, mode, max(0, min(int(info.st_mtime), 2**32 - 1))))


def expanded(local: str | os.PathLike[str]) -> Path:
    """A path as the user meant it: `~` is the home folder, also where no shell has seen it.

    Raises:
        OctaConfigError: there is no such home folder.
    """
    path = Path(local)
    if not str(local).startswith("~") or path.exists():
        return path
    try:
        return path.expanduser()
    except RuntimeError as error:
        # A user that nobody knows: a misspelled one, or this one, as in many a container.
        home = shown(path.parts[0])
        raise OctaConfigError(f"{shown(path)}: there is no home folder {home}: give the whole path") from error


def shown(path: str | os.PathLike[str] | bytes) -> str:
    """A path for a message: one line, and nothing that a terminal or JSON would choke on."""
    text = plain(os.fsdecode(path))
    return text if len(text) <= 300 else f"{text[:150]}...{text[-100:]}"


def unreadable(path: Path, error: OSError) -> OctaLocalFileError:
    """The error for a path of this machine that the system refused.

    Args:
        path: what was refused.
        error: the system's.
    """
    return OctaLocalFileError(f"{shown(path)}: {error.strerror or error}")


def sha256_of(path: Path) -> str:
    """The SHA-256 sum of a file here, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file.fileno()):
            digest.update(block)
    return digest.hexdigest()


_sums: dict[tuple[int, int, int, int, int], str] = {}
_sums_lock = threading.Lock()


def digest_of(path: Path) -> str:
    """The SHA-256 sum of a file here. That of a large file is remembered as long as nothing about the file changes.

    Raises:
        OctaConfigError: it can't be read.
    """
    try:
        info = path.stat()
        key = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        with _sums_lock:
            known = _sums.get(key)
        if known is not None:
            return known
        asked_ns = time.time_ns()
        digest = sha256_of(path)
    except OSError as error:
        raise OctaConfigError(f"{shown(path)} can't be read: {error.strerror}") from error
    # The change time can't be set back, so a file that has rested for a while is known by it.
    if info.st_size >= REMEMBERED_BYTES and asked_ns - info.st_ctime_ns > SETTLED_NS:
        with _sums_lock:
            if len(_sums) >= REMEMBERED_SUMS:
                _sums.clear()
            _sums[key] = digest
    return digest


def _blocks(descriptor: int) -> Iterator[bytes]:
    while block := os.read(descriptor, BLOCK_BYTES):
        yield block
