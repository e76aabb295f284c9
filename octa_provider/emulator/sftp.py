"""SFTP and SCP into a session's folder, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh


class FolderSftp(asyncssh.SFTPServer):
    """Serves one folder. Its paths are the machine's own: SFTP and commands mean the same file by the same path.

    A relative path starts at the folder, as a command's does. What lies outside is refused instead of being mapped
    into the folder: an upload to `/tmp/scene.blend` that no command could find at that path would only confuse.

    Args:
        connection: the SSH connection.
        folder: the session's folder.
    """

    def __init__(self, connection: asyncssh.SSHServerChannel[bytes], folder: Path) -> None:
        super().__init__(connection)
        self._folder = os.fsencode(os.path.realpath(folder))

    def map_path(self, path: bytes) -> bytes:
        """The local path of a client's path; its last part may be a link that leads out."""
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
        return super().open(self._followed(path), pflags, attrs)

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
