"""Files from a rented machine: many at a time, checked before they take their place here, each whole or absent."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaLocalFileError, OctaSshError, OctaUnfetchedError
from octa_provider.files.in_thread import in_thread
from octa_provider.files.limits import existing_folder
from octa_provider.files.local_files import sha256_of, shown
from octa_provider.remote.blocks import Line
from octa_provider.remote.checksums import RemoteSums
from octa_provider.remote.remote_files import ODD_NAMED, RemoteFile, RemoteTree, all_of
from octa_provider.render.pictures import flaw_of
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    import asyncssh

    from octa_provider.remote.transfer import Transfer

__all__ = ["FileFetching"]

log = plain_logger("octa_provider.remote.fetching")

#: What a path of this machine is refused for, rather than the disk or the folder as a whole.
_OF_ONE_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EEXIST}


class FileFetching:
    """One tree on its way here; asked again after a lost connection, it fetches what is left.

    Args:
        target: where it goes: the file itself, or the folder that gets what is in the folder.
        transfer: how far it is.
        is_wanted: asked for each file; what it says no to is left there.
        checks_pictures: whether a picture that is not whole is left out.

    Attributes:
        fetched: the files that are here.
    """

    def __init__(
        self,
        target: Path,
        transfer: Transfer,
        is_wanted: Callable[[RemoteFile], bool] = lambda file: True,
        *,
        checks_pictures: bool = True,
    ) -> None:
        self._checks_pictures = checks_pictures
        self._target = target
        self._transfer = transfer
        self._is_wanted = is_wanted
        self._done: dict[bytes, Path] = {}
        self._odd: list[str] = []
        self._sums = RemoteSums(transfer)

    @property
    def fetched(self) -> tuple[Path, ...]:
        """The files that are here, in order."""
        return tuple(path for _, path in sorted(self._done.items()))

    async def over(self, connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient, tree: RemoteTree) -> None:
        """Fetch what is not here yet.

        Args:
            connection: to the machine.
            sftp: the same for files.
            tree: what is there.

        Raises:
            OctaLocalFileError: this machine's disk or folder refused.
            OctaUnfetchedError: some files could not be fetched; the others are here.
            OctaSshError: a file changed on its way.
        """
        files = [file for file in tree.files if self._is_wanted(file)]
        self._transfer.begin(files, len(tree.folders), self._done)
        self._odd = list(tree.odd)
        # One that is empty is nothing to make a place for: whoever asked is told that there was nothing.
        if not (files or tree.odd):
            return
        folder = self._target if tree.is_folder else self._target.parent
        self._transfer.limits.check_room(self._transfer.total_bytes, existing_folder(folder))
        self._make(folder, 0o777)
        self._make_tree(folder, tree)
        left = [file for file in files if file.name not in self._done]
        # No `whole_file`: many arrive at once, in blocks and out of order, and each is checked before it takes its
        # place; and what a hostile machine sends must replace a link, not what the link leads to.
        parts = folder / f".octa-{secrets.token_hex(4)}.part"
        self._make(parts, 0o700)
        try:
            await self._fetch_all(connection, sftp, left, parts)
        finally:
            shutil.rmtree(parts, ignore_errors=True)
        if self._odd:
            named = ", ".join(sorted(self._odd)[:ODD_NAMED])
            more = f" and {len(self._odd) - ODD_NAMED} more" if len(self._odd) > ODD_NAMED else ""
            raise OctaUnfetchedError(
                f"{shown(tree.path)} came home without {named}{more}", fetched=[str(path) for path in self.fetched]
            )

    def _make_tree(self, folder: Path, tree: RemoteTree) -> None:
        for name, mode in tree.folders:
            try:
                self._make(folder / _local_name(name), mode)
            except OctaLocalFileError as error:
                if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in _OF_ONE_NAME:
                    raise
                # What is in it says so for itself.

    def _make(self, folder: Path, mode: int) -> None:
        try:
            if not folder.is_dir():
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir(mode, exist_ok=True)
        except OSError as error:
            raise OctaLocalFileError(f"can't make the folder {shown(folder)}: {error.strerror}") from error

    async def _fetch_all(
        self,
        connection: asyncssh.SSHClientConnection,
        sftp: asyncssh.SFTPClient,
        left: Sequence[RemoteFile],
        parts: Path,
    ) -> None:
        line = Line(sftp.limits.max_read_len, self._transfer)
        self._sums.expect(left)

        async def fetch(number: int, file: RemoteFile) -> None:
            async with line.files:
                part = parts / str(number)
                await _OneFile(sftp, file, part, line, self._transfer).fetch()
                await self._take(file, part)

        # The machine adds up what it has while it sends it.
        await all_of([self._sums.add_up(connection, left), *(fetch(number, file) for number, file in enumerate(left))])

    async def _take(self, file: RemoteFile, part: Path) -> None:
        """Put a file that has arrived into its place, if it is what lies there."""
        expected = await self._sums.of(file)
        if expected is not None and expected != await in_thread(sha256_of, part):
            raise OctaSshError(f"{shown(file.path)} changed on its way, or while it was fetched", lost=True)
        path = self._target / _local_name(file.name) if file.name else self._target
        try:
            if self._checks_pictures and (flaw := await in_thread(flaw_of, part, file.name or file.path)):
                # It would pass for a frame, and may lie over a whole one.
                self._odd.append(f"{shown(file.name or file.path)} (which {flaw})")
                return
            await in_thread(os.replace, part, path)
        except OSError as error:
            if error.errno not in _OF_ONE_NAME and not path.is_dir():
                raise OctaLocalFileError(f"can't write {shown(path)}: {error.strerror}") from error
            if not file.name:
                raise OctaLocalFileError(f"can't write {shown(path)}: {error.strerror}") from error
            self._odd.append(f"{shown(file.name)} ({error.strerror})")
            return
        if not _is_text(file.name):
            log.warning("%s has a name that is no UTF-8: fetched as %s", shown(file.path), shown(path))
        self._done[file.name] = path
        self._transfer.moved(files=1)


class _OneFile:
    def __init__(
        self,
        sftp: asyncssh.SFTPClient,
        file: RemoteFile,
        part: Path,
        line: Line,
        transfer: Transfer,
    ) -> None:
        self._sftp = sftp
        self._file = file
        self._part = part
        self._line = line
        self._transfer = transfer

    async def fetch(self) -> None:
        file = self._file
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            # The system takes this user's umask off the mode.
            descriptor = await in_thread(os.open, self._part, flags, file.mode | 0o600)
        except OSError as error:
            raise OctaLocalFileError(f"can't write {shown(self._part)}: {error.strerror}") from error
        try:
            source = await self._sftp.open(file.path, "rb", encoding=None, block_size=self._line.block)
            self._transfer.moved()
            await self._carry(source, descriptor)
            await source.close()
            self._transfer.moved()
        finally:
            os.close(descriptor)

    async def _carry(self, source: asyncssh.SFTPClientFile, descriptor: int) -> None:
        async def move(offset: int, size: int) -> None:
            data: bytes = await source.read(size, offset)
            if len(data) != size:
                arrived = offset + min(len(data), size)
                raise OctaSshError(
                    f"{shown(self._file.path)} arrived with {arrived} of {self._file.size} bytes", lost=True
                )
            try:
                await in_thread(_write, descriptor, data, offset)
            except OSError as error:
                raise OctaLocalFileError(f"can't write {shown(self._part.parent)}: {error.strerror}") from error

        await self._line.carry(self._file.size, move)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _is_text(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _local_name(name: bytes) -> str:
    """What a file is called here: bytes that are no UTF-8 become `%E9`, since lists of files travel as text."""
    return "".join(
        f"%{ord(letter) - 0xDC00:02X}" if "\udc80" <= letter <= "\udcff" else letter
        for letter in name.decode("utf-8", "surrogateescape")
    )
