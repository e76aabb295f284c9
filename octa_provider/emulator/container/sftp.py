"""SFTP and SCP into a session's folder, and nowhere else."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh

from octa_provider.emulator.container.ssh_conditions import SshWeather

_FOREVER_S = 10.0**6
#: A folder that holds itself, in a machine that says so.
NESTED = b"folder-in-itself"


class FolderSftp(asyncssh.SFTPServer):
    """Serves one folder. Its paths are the machine's own: SFTP and commands mean the same file by the same path.

    A relative path starts at the folder, as a command's does. What lies outside is refused instead of being mapped
    into the folder: an upload to `/tmp/scene.blend` that no command could find at that path would only confuse.

    Args:
        connection: the SSH connection.
        folder: the session's folder.
        weather: how it answers.
    """

    def __init__(
        self, connection: asyncssh.SSHServerChannel[bytes], folder: Path, weather: SshWeather | None = None
    ) -> None:
        super().__init__(connection)
        self._weather = weather or SshWeather()
        self._odd_reads: dict[int, str] = {}
        self._folder = os.fsencode(os.path.realpath(folder))

    def map_path(self, path: bytes) -> bytes:
        """The local path of a client's path; its last part may be a link that leads out."""
        if self._weather.now.listing == "nested":
            path = path.replace(b"/" + NESTED, b"")
        local = os.path.normpath(os.path.join(self._folder, path))  # noqa: PTH118 - bytes
        if local != self._folder:
            parent, name = os.path.split(local)
            local = os.path.join(os.path.realpath(parent), name)  # noqa: PTH118
        return self._inside(local)

    def realpath(self, path: bytes) -> bytes:
        """The real path of a client's path."""
        return os.path.realpath(self._followed(path))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Open a file, unless a link leads out of the folder."""
        local = self._followed(path)
        if os.path.exists(local) and stat.S_ISFIFO(os.stat(local).st_mode):  # noqa: PTH110, PTH116 - bytes
            # Nobody ever writes into it; whoever opens it waits, and only he.
            return asyncio.sleep(_FOREVER_S)
        file = super().open(local, pflags, attrs)
        if pflags & asyncssh.FXF_READ:
            self._odd_reads[id(file)] = self._weather.next_read()
        return file

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Read, or what the weather makes of it."""
        odd = self._odd_reads.get(id(file_obj), "")
        if odd == "stuck":
            await asyncio.sleep(_FOREVER_S)
        data = super().read(file_obj, offset, size)
        assert isinstance(data, bytes)
        return {"short": data[:-1], "wrong": data[::-1]}.get(odd, data)

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write, or what the weather makes of it."""
        if self._weather.now.writes == "stuck":
            await asyncio.sleep(_FOREVER_S)
        if self._weather.now.writes == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(file_obj, offset, data)
        assert isinstance(written, int)
        return written

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Open a file in the newer protocol, unless a link leads out of the folder."""
        return super().open56(self._followed(path), desired_access, flags, attrs)

    def lstat(self, path: bytes) -> os.stat_result:
        """Attributes of a path itself. `..` of the folder, which a listing names, is shown as the folder."""
        above = os.path.normpath(os.path.join(self._folder, path)) == os.path.dirname(self._folder)  # noqa: PTH118, PTH120
        return os.lstat(self._folder if above else self.map_path(path))

    def stat(self, path: bytes) -> os.stat_result:
        """Attributes of what a path leads to."""
        return os.stat(self._followed(path))  # noqa: PTH116

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Change attributes of what a path leads to."""
        super().setstat(self._followed(path), attrs)

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """List a folder, unless a link leads out."""
        listing, number = self._weather.now.listing, 0
        while listing:
            number += 1
            yield _odd_entry(listing, number)
            if listing != "endless":
                break
            if number % 1000 == 0:
                await asyncio.sleep(0)
        async for name in super().scandir(self._followed(path)):
            yield name

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """Make a link. It may point anywhere; following it is what is refused."""
        os.symlink(oldpath, self.map_path(newpath))  # noqa: PTH211

    def _followed(self, path: bytes) -> bytes:
        local = self.map_path(path)
        self._inside(os.path.realpath(local))
        return local

    def _inside(self, local: bytes) -> bytes:
        if local == self._folder or local.startswith(self._folder + b"/"):
            return local
        raise asyncssh.SFTPPermissionDenied(
            f"{os.fsdecode(local)} is outside of this emulated session's folder {os.fsdecode(self._folder)}: "
            "use relative paths."
        )


def _odd_entry(listing: str, number: int) -> asyncssh.SFTPName:
    if listing == "nested":
        # A path that ends in any number of these is that of the folder itself.
        return asyncssh.SFTPName(NESTED, attrs=asyncssh.SFTPAttrs(permissions=0o40755))
    if listing == "huge":
        return asyncssh.SFTPName(b"huge.bin", attrs=asyncssh.SFTPAttrs(permissions=0o100644, size=2**60))
    name = b"../evil" if listing == "outside" else b"%0200d" % number
    return asyncssh.SFTPName(name, attrs=asyncssh.SFTPAttrs(permissions=0o100644, size=1))
