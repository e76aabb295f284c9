"""What is to be fetched from a rented machine: the files and folders at or below a name, within limits."""

from __future__ import annotations

import asyncio
import os
import posixpath
import stat
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaSshError
from octa_provider.files.limits import TransferLimits
from octa_provider.files.local_files import shown
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    import asyncssh

__all__ = ["RemoteFile", "RemoteTree", "all_of", "look_at_names", "look_below"]

log = plain_logger("octa_provider.remote.remote_files")

LISTED_AT_ONCE = 16
LONGEST_NAME_BYTES = 255
#: So many oddities are told by name, the rest by their number.
ODD_NAMED = 5


@dataclass(frozen=True)
class RemoteFile:
    """A file on the machine.

    Attributes:
        name: below what is fetched, with slashes; empty when the file itself is what is fetched.
        path: its path there.
        size, mode, mtime: as the machine tells.
    """

    name: bytes
    path: bytes
    size: int
    mode: int
    mtime: int


@dataclass
class RemoteTree:
    """What is at a path of the machine.

    Attributes:
        path: the path there.
        is_folder: whether it is a folder.
        files: its files, sorted by name.
        folders: its folders, by their names below it and their permissions, parents first.
        odd: what can't be fetched and should have been, each as one clause.
    """

    path: bytes
    is_folder: bool
    files: list[RemoteFile] = field(default_factory=list)
    folders: list[tuple[bytes, int]] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)


async def look_below(
    sftp: asyncssh.SFTPClient,
    remote: bytes,
    limits: TransferLimits,
    *,
    within: bytes | None = None,
    moved: Callable[[], object] = lambda: None,
) -> RemoteTree:
    """List what is at a path of the machine. Links are followed where they lead to something within a folder.

    Args:
        sftp: the machine.
        remote: the path there.
        limits: how much there may be.
        within: links that lead out of this folder are left there; None takes the folder that holds `remote`.
        moved: called whenever the machine has answered.

    Raises:
        OctaSshError: there is no such file, it is no file or folder, or a limit is passed.
    """
    return await _Look(sftp, remote, limits, within, moved).tree()


async def look_at_names(
    sftp: asyncssh.SFTPClient, folder: bytes, names: Sequence[str], limits: TransferLimits
) -> RemoteTree:
    """Look at files of a folder of the machine by their names; those that are not there are left out.

    Args:
        sftp: the machine.
        folder: the folder there.
        names: below it, with slashes.
        limits: how much there may be.

    Raises:
        OctaSshError: a limit is passed.
    """
    import asyncssh

    tree = RemoteTree(folder, True)
    above = {parent for name in names for parent in PurePosixPath(name).parents if parent.name}
    tree.folders = [(os.fsencode(str(parent)), 0o755) for parent in sorted(above)]
    looking = asyncio.Semaphore(LISTED_AT_ONCE)

    async def look(name: str) -> None:
        encoded = os.fsencode(name)
        path = posixpath.join(folder, encoded)
        async with looking:
            try:
                info = await sftp.lstat(path)
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return
        if info.permissions is None or stat.S_ISREG(info.permissions):
            tree.files.append(_file(encoded, path, info))
        else:
            tree.odd.append(f"{shown(encoded)} (no plain file)")

    await all_of(look(name) for name in names)
    limits.check(shown(folder), size=tree.size, entries=len(tree.files))
    tree.files.sort(key=lambda file: file.name)
    return tree


class _Look:
    def __init__(
        self,
        sftp: asyncssh.SFTPClient,
        remote: bytes,
        limits: TransferLimits,
        within: bytes | None,
        moved: Callable[[], object],
    ) -> None:
        self._sftp = sftp
        self._limits = limits
        self._within = within
        self._moved = moved
        self._tree = RemoteTree(remote, True)
        self._listing = asyncio.Semaphore(LISTED_AT_ONCE)
        self._entries = 0

    async def tree(self) -> RemoteTree:
        tree = self._tree
        info = await self._sftp.stat(tree.path)
        mode = info.permissions
        if mode is None or stat.S_ISREG(mode):
            tree.is_folder = False
            tree.files.append(_file(b"", tree.path, info))
        elif not stat.S_ISDIR(mode):
            raise OctaSshError(f"{shown(tree.path)} is a pipe, socket or device, no file or folder: not fetched")
        else:
            real = _bytes(await self._sftp.realpath(tree.path))
            if self._within is None:
                self._within = posixpath.dirname(real)
            else:
                self._within = _bytes(await self._sftp.realpath(self._within))
            await self._list(b"", tree.path, (real,))
        self._limits.check(shown(tree.path), size=tree.size)
        tree.files.sort(key=lambda file: file.name)
        tree.folders.sort()
        return tree

    async def _list(self, name: bytes, path: bytes, above: tuple[bytes, ...]) -> None:
        self._limits.check(shown(self._tree.path), depth=len(above))
        links: list[bytes] = []
        below: list[tuple[bytes, bytes, tuple[bytes, ...]]] = []
        async with self._listing:
            async for entry in self._sftp.scandir(path):
                self._moved()
                one = _bytes(entry.filename)
                if one in {b".", b".."}:
                    continue
                self._entries += 1
                self._limits.check(shown(self._tree.path), entries=self._entries)
                mode = entry.attrs.permissions or 0
                if reason := _why_odd(one):
                    self._tree.odd.append(f"{shown(one[:80])!r} ({reason})")
                elif stat.S_ISLNK(mode):
                    links.append(one)
                elif stat.S_ISDIR(mode):
                    self._tree.folders.append((_join(name, one), stat.S_IMODE(mode) & 0o777 | 0o700))
                    below.append((_join(name, one), _join(path, one), (*above, _join(above[-1], one))))
                elif stat.S_ISREG(mode):
                    self._tree.files.append(_file(_join(name, one), _join(path, one), entry.attrs))
                else:
                    log.warning("%s is a special file: not fetched", shown(_join(path, one)))
            for one in links:
                below += await self._followed(name, path, one, above)
        # Some at a time; one after the other within each, so that what waits is bounded.
        await all_of(self._list(*folder) for folder in below)

    async def _followed(
        self, name: bytes, path: bytes, one: bytes, above: tuple[bytes, ...]
    ) -> list[tuple[bytes, bytes, tuple[bytes, ...]]]:
        import asyncssh

        link = _join(path, one)
        try:
            info = await self._sftp.stat(link)
            real = _bytes(await self._sftp.realpath(link))
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise
        except asyncssh.SFTPError:
            log.warning("%s is a link that leads nowhere, or out of the folder: not fetched", shown(link))
            return []
        finally:
            self._moved()
        assert self._within is not None
        if not (real + b"/").startswith(self._within.rstrip(b"/") + b"/"):
            log.warning("%s is a link that leads out of the folder: not fetched", shown(link))
        elif stat.S_ISREG(info.permissions or 0):
            self._tree.files.append(_file(_join(name, one), link, info))
        elif not stat.S_ISDIR(info.permissions or 0):
            log.warning("%s leads to a special file: not fetched", shown(link))
        elif any((folder + b"/").startswith(real + b"/") for folder in above):
            log.warning("%s leads back to a folder that it is in: not fetched", shown(link))
        else:
            self._tree.folders.append((_join(name, one), stat.S_IMODE(info.permissions or 0) & 0o777 | 0o700))
            return [(_join(name, one), link, (*above, real))]
        return []


async def all_of(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of it at once; the first error ends the rest."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        # What they have open is closed by themselves.
        await asyncio.gather(*tasks, return_exceptions=True)


def _file(name: bytes, path: bytes, info: asyncssh.SFTPAttrs) -> RemoteFile:
    mode = 0o644 if info.permissions is None else stat.S_IMODE(info.permissions) & 0o777
    return RemoteFile(name, path, info.size or 0, mode, int(info.mtime or 0))


def _why_odd(name: bytes) -> str:
    """Why a name can't be one of a file in a folder; a machine that is honest has none of these."""
    if b"/" in name or b"\0" in name or not name:
        return "would leave the target folder"
    if os.sep != "/" and (b"\\" in name or b":" in name):
        return "would leave the target folder"
    return "is too long" if len(name) > LONGEST_NAME_BYTES else ""


def _join(folder: bytes, name: bytes) -> bytes:
    return name if not folder else folder.rstrip(b"/") + b"/" + name


def _bytes(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else os.fsencode(name)
