"""Files from a rented machine: many at a time, checked before they take their place here, each whole or absent."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaLocalFileError, OctaSshError, OctaUnfetchedError
from octa_provider.files.in_thread import in_thread
from octa_provider.files.limits import existing_folder
from octa_provider.files.local_files import sha256_of, shown
from octa_provider.remote.remote_files import ODD_NAMED, RemoteFile, RemoteTree, all_of
from octa_provider.remote.sending import FILES_AT_ONCE, blocks_at_once, file_block
from octa_provider.render.pictures import flaw_of
from octa_provider.text.plain_log import plain_logger

if TYPE_CHECKING:
    import asyncssh

    from octa_provider.remote.transfer import Transfer

__all__ = ["FileFetching"]

log = plain_logger("octa_provider.remote.machine")

#: Prints `<sha256>  <path>` a line, by whichever of three programs the image has.
HASHES = (
    "if command -v sha256sum >/dev/null 2>&1; then sha256sum -- {paths}; "
    "elif command -v shasum >/dev/null 2>&1; then shasum -a 256 -- {paths}; "
    "else openssl dgst -sha256 -r {paths}; fi"
)
HASHED_AT_ONCE = 200
#: A command line has room for so much.
HASHED_NAMES_BYTES = 64 * 1024
#: As slow as the disk of a machine may be that adds a file up.
HASH_BYTES_PER_S = 20e6
#: What a path of this machine is refused for, rather than the disk or the folder as a whole.
_OF_ONE_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EEXIST}


class FileFetching:
    """One tree on its way here; asked again after a lost connection, it fetches what is left.

    Args:
        target: where it goes: the file itself, or the folder that gets what is in the folder.
        transfer: how far it is.
        is_wanted: asked for each file of a folder; what it says no to is left there.

    Attributes:
        fetched: the files that are here.
    """

    def __init__(
        self, target: Path, transfer: Transfer, is_wanted: Callable[[RemoteFile], bool] = lambda file: True
    ) -> None:
        self._target = target
        self._transfer = transfer
        self._is_wanted = is_wanted
        self._done: dict[bytes, Path] = {}
        self._odd: list[str] = []
        self._sums: dict[bytes, asyncio.Future[str | None]] = {}
        self._blind = False

    @property
    def fetched(self) -> tuple[Path, ...]:
        """The files that are here, in order."""
        return tuple(path for _, path in sorted(self._done.items()))

    async def over(self, connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient, tree: RemoteTree) -> None:
        """Fetch what is not here yet.

        Raises:
            OctaLocalFileError: this machine's disk or folder refused.
            OctaUnfetchedError: some files could not be fetched; the others are here.
            OctaSshError: a file changed on its way.
        """
        files = [file for file in tree.files if not tree.is_folder or self._is_wanted(file)]
        size = sum(file.size for file in files)
        done = [file for file in files if file.name in self._done]
        self._transfer.begin(
            size,
            len(files),
            len(files) + len(tree.folders),
            done_bytes=sum(file.size for file in done),
            done_files=len(done),
        )
        self._odd = list(tree.odd)
        # One that is empty is nothing to make a place for: whoever asked is told that there was nothing.
        if not (files or tree.odd):
            return
        folder = self._target if tree.is_folder else self._target.parent
        self._transfer.limits.check_room(size, existing_folder(folder))
        self._make(folder, 0o777)
        self._make_tree(folder, tree)
        left = [file for file in files if file.name not in self._done]
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
        block = file_block(sftp.limits.max_read_len)
        files, blocks = asyncio.Semaphore(FILES_AT_ONCE), asyncio.Semaphore(blocks_at_once(block))
        self._sums = {file.name: asyncio.get_running_loop().create_future() for file in left}

        async def fetch(number: int, file: RemoteFile) -> None:
            async with files:
                part = parts / str(number)
                await _OneFile(sftp, file, part, block, blocks, self._transfer).fetch()
                await self._take(file, part)

        # The machine adds up what it has while it sends it.
        await all_of([self._add_up(connection, left), *(fetch(number, file) for number, file in enumerate(left))])

    async def _take(self, file: RemoteFile, part: Path) -> None:
        """Put a file that has arrived into its place, if it is what lies there."""
        expected = await self._sums[file.name]
        if expected is not None and expected != await in_thread(sha256_of, part):
            raise OctaSshError(f"{shown(file.path)} changed on its way, or while it was fetched", lost=True)
        path = self._target / _local_name(file.name) if file.name else self._target
        try:
            if flaw := await in_thread(flaw_of, part, file.name or file.path):
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

    async def _add_up(self, connection: asyncssh.SSHClientConnection, files: Sequence[RemoteFile]) -> None:
        """The sums of the files, some at a time; a machine without any program for it leaves the size check."""
        batch: list[RemoteFile] = []
        batches = [batch]
        for file in files:
            if len(batch) >= HASHED_AT_ONCE or sum(len(one.path) for one in batch) > HASHED_NAMES_BYTES:
                batch = []
                batches.append(batch)
            batch.append(file)
        at_once = asyncio.Semaphore(4)

        async def add_up(some: Sequence[RemoteFile]) -> None:
            async with at_once:
                patience_s = 60.0 + sum(file.size for file in some) / HASH_BYTES_PER_S
                sums = await self._transfer.patient(_sums_of(connection, some), patience_s)
            if sums is None and not self._blind:
                self._blind = True
                log.warning("the machine can't tell SHA-256 sums: the files were checked by size alone")
            for at, file in enumerate(some):
                self._sums[file.name].set_result(None if sums is None else sums[at])

        await all_of(add_up(some) for some in batches if some)


class _OneFile:
    def __init__(
        self,
        sftp: asyncssh.SFTPClient,
        file: RemoteFile,
        part: Path,
        block: int,
        blocks: asyncio.Semaphore,
        transfer: Transfer,
    ) -> None:
        self._sftp = sftp
        self._file = file
        self._part = part
        self._block = block
        self._blocks = blocks
        self._transfer = transfer
        self._next = 0

    async def fetch(self) -> None:
        file = self._file
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            # The system takes this user's umask off the mode.
            descriptor = await in_thread(os.open, self._part, flags, file.mode | 0o600)
        except OSError as error:
            raise OctaLocalFileError(f"can't write {shown(self._part)}: {error.strerror}") from error
        try:
            source = await self._sftp.open(file.path, "rb", encoding=None, block_size=self._block)
            self._transfer.moved()
            wanted = min(-(-file.size // self._block), blocks_at_once(self._block))
            await all_of(self._carry(source, descriptor) for _ in range(wanted))
            await source.close()
            self._transfer.moved()
        finally:
            os.close(descriptor)

    async def _carry(self, source: asyncssh.SFTPClientFile, descriptor: int) -> None:
        while self._next < self._file.size:
            offset = self._next
            size = min(self._block, self._file.size - offset)
            self._next = offset + size
            async with self._blocks:
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
            self._transfer.moved(size)


async def _sums_of(connection: asyncssh.SSHClientConnection, files: Sequence[RemoteFile]) -> list[str] | None:
    """The SHA-256 sums that the machine tells; None when it can't."""
    paths = " ".join(shlex.quote(os.fsdecode(_for_shell(file.path))) for file in files)
    command = HASHES.format(paths=paths)
    # A line is a sum and a name, in which a character may be written as several.
    most = sum(200 + 4 * len(file.path) for file in files)
    # A shell that reads its script takes names that are no text, and as many as there are.
    process = await connection.create_process("/bin/sh", encoding=None)
    try:
        with suppress(OSError):
            process.stdin.write(os.fsencode(f"{{ {command}; }} </dev/null\n"))
            process.stdin.write_eof()
        said = b""
        while block := await process.stdout.read(65536):
            said += block
            if len(said) > most:
                process.kill()
                return None
    finally:
        process.close()
    lines = said.split(b"\n")[:-1]
    if len(lines) != len(files):
        return None
    return [line.lstrip(b"\\")[:64].decode("ascii", "replace") for line in lines]


def _for_shell(path: bytes) -> bytes:
    return path if path.startswith(b"/") else b"./" + path


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
