"""Files to a rented machine: many at a time, each of them whole or absent."""

from __future__ import annotations

import asyncio
import os
import posixpath
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from octa_provider.errors import OctaLocalFileError, OctaSshError
from octa_provider.files.in_thread import in_thread
from octa_provider.files.limits import shown_size
from octa_provider.files.local_files import LocalFile, LocalTree, shown, unreadable
from octa_provider.remote.blocks import FILES_AT_ONCE, Line
from octa_provider.remote.remote_files import all_of

if TYPE_CHECKING:
    import asyncssh

    from octa_provider.remote.transfer import Transfer

__all__ = ["FileSending"]


class FileSending:
    """One tree on its way; asked again after a lost connection, it sends what is left.

    Args:
        tree: what is sent.
        remote: its path there.
        transfer: how far it is.
    """

    def __init__(self, tree: LocalTree, remote: bytes, transfer: Transfer) -> None:
        self._tree = tree
        self._remote = remote
        self._transfer = transfer
        self._done: set[bytes] = set()
        self._token = secrets.token_hex(4).encode()

    async def over(self, sftp: asyncssh.SFTPClient) -> None:
        """Send what has not been sent yet.

        Raises:
            OctaLocalFileError: a file can't be read any more, or has become shorter.
            OctaSshError: the machine has no room, or refused.
        """
        self._transfer.begin(self._tree.files, len(self._tree.folders), self._done)
        await self._check_room(sftp)
        await self._make_folders(sftp)
        line = Line(sftp.limits.max_write_len, self._transfer)
        left = [file for file in self._tree.files if file.name not in self._done]

        async def send(number: int, file: LocalFile) -> None:
            async with line.files:
                path, part = self._path(file.name), self._part(number, file)
                await _OneFile(sftp, file, path, part, line, self._transfer).send()
                self._done.add(file.name)
                self._transfer.moved(files=1)

        await all_of(send(number, file) for number, file in enumerate(left))

    def _path(self, name: bytes) -> bytes:
        return posixpath.join(self._remote, name) if name else self._remote

    def _part(self, number: int, file: LocalFile) -> bytes:
        # Not made of its name, which may be as long as a name can be.
        return posixpath.join(posixpath.dirname(self._path(file.name)), b".octa-%s-%d.part" % (self._token, number))

    async def _check_room(self, sftp: asyncssh.SFTPClient) -> None:
        import asyncssh

        left = sum(file.size for file in self._tree.files if file.name not in self._done)
        try:
            disk = await sftp.statvfs(b".")
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise
        except asyncssh.SFTPError:
            return
        free = (disk.bavail or 0) * (disk.frsize or disk.bsize or 0)
        if disk.blocks and left > free:
            raise OctaSshError(
                f"the machine has room for {shown_size(free)}, and {shown(self._tree.path)} is {shown_size(left)}: "
                "ask for more disk (disk_gb)"
            )

    async def _make_folders(self, sftp: asyncssh.SFTPClient) -> None:
        above = self._remote if self._tree.is_folder else posixpath.dirname(self._remote)
        parts = [part for part in above.split(b"/") if part]
        for at in range(1, len(parts) + 1):
            await self._make(sftp, (b"/" if above.startswith(b"/") else b"") + b"/".join(parts[:at]), 0o755)
        by_depth: dict[int, list[tuple[bytes, int]]] = {}
        for name, mode in self._tree.folders:
            by_depth.setdefault(name.count(b"/"), []).append((name, mode))
        at_once = asyncio.Semaphore(FILES_AT_ONCE)

        async def make(name: bytes, mode: int) -> None:
            async with at_once:
                await self._make(sftp, self._path(name), mode)

        for _, level in sorted(by_depth.items()):
            await all_of(make(name, mode) for name, mode in level)

    async def _make(self, sftp: asyncssh.SFTPClient, path: bytes, mode: int) -> None:
        import asyncssh

        try:
            await sftp.mkdir(path, asyncssh.SFTPAttrs(permissions=mode))
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise
        except asyncssh.SFTPError as error:
            # That it exists already has no error code of its own in the usual version of the protocol.
            with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied):
                if stat.S_ISDIR((await sftp.stat(path)).permissions or 0):
                    return
            raise OctaSshError(f"the machine can't make the folder {shown(path)}: {shown(error.reason)}") from error
        finally:
            self._transfer.moved()


class _OneFile:
    def __init__(
        self,
        sftp: asyncssh.SFTPClient,
        file: LocalFile,
        path: bytes,
        part: bytes,
        line: Line,
        transfer: Transfer,
    ) -> None:
        self._sftp = sftp
        self._file = file
        self._path = path
        self._part = part
        self._line = line
        self._transfer = transfer

    async def send(self) -> None:
        import asyncssh

        sftp, file, path = self._sftp, self._file, self._path
        try:
            descriptor = await in_thread(os.open, file.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(file.path, error) from error
        try:
            flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC
            attrs = asyncssh.SFTPAttrs(permissions=file.mode | 0o200)
            out = await sftp.open(self._part, flags, attrs, encoding=None, block_size=self._line.block)
            self._transfer.moved()
            await self._carry(descriptor, out)
            with suppress(asyncssh.SFTPPermissionDenied, asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure):
                await out.setstat(asyncssh.SFTPAttrs(permissions=file.mode, atime=file.mtime, mtime=file.mtime))
            await out.close()
            self._transfer.moved()
            await self._rename()
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise
        except OctaLocalFileError:
            with suppress(asyncssh.Error, OSError):
                await sftp.remove(self._part)
            raise
        except asyncssh.SFTPError as error:
            with suppress(asyncssh.Error, OSError):
                await sftp.remove(self._part)
            raise OctaSshError(f"the machine refused {shown(path)}: {await self._reason(error)}") from error
        finally:
            os.close(descriptor)

    async def _carry(self, descriptor: int, out: asyncssh.SFTPClientFile) -> None:
        async def move(offset: int, size: int) -> None:
            try:
                data = await in_thread(os.pread, descriptor, size, offset)
            except OSError as error:
                raise unreadable(self._file.path, error) from error
            if len(data) != size:
                raise OctaLocalFileError(f"{shown(self._file.path)} became shorter while it was sent")
            await out.write(data, offset)

        await self._line.carry(self._file.size, move)

    async def _rename(self) -> None:
        import asyncssh

        try:
            await self._sftp.posix_rename(self._part, self._path)
        except asyncssh.SFTPOpUnsupported:
            with suppress(asyncssh.SFTPNoSuchFile):
                await self._sftp.remove(self._path)
            await self._sftp.rename(self._part, self._path)

    async def _reason(self, error: asyncssh.SFTPError) -> str:
        """Why, in words: a full disk is only "Failure" in the protocol."""
        import asyncssh

        with suppress(asyncssh.SFTPError):
            disk = await self._sftp.statvfs(b".")
            if disk.blocks and (disk.bavail or 0) * (disk.frsize or 0) < self._line.block:
                return "its disk is full: ask for more (disk_gb)"
        return shown(error.reason)
