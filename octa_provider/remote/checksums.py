"""The SHA-256 sums of a rented machine's files, as the machine itself adds them up."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from octa_provider.remote.remote_files import RemoteFile, all_of
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    import asyncssh

    from octa_provider.remote.transfer import Transfer

__all__ = ["RemoteSums"]

log = plain_logger("octa_provider.remote.checksums")

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


class RemoteSums:
    """The sums of a transfer's files, told as they come.

    Args:
        transfer: what they belong to.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._sums: dict[bytes, asyncio.Future[str | None]] = {}
        self._is_blind = False

    def expect(self, files: Sequence[RemoteFile]) -> None:
        """The sums of these are about to be added up, over a connection that has just been made."""
        self._sums = {file.name: asyncio.get_running_loop().create_future() for file in files}

    async def of(self, file: RemoteFile) -> str | None:
        """The sum of a file, once it is known; None when the machine can't tell."""
        return await self._sums[file.name]

    async def add_up(self, connection: asyncssh.SSHClientConnection, files: Sequence[RemoteFile]) -> None:
        """Ask for the sums, some at a time; a machine without any program for it leaves the size check.

        Args:
            connection: to the machine.
            files: those that are expected.
        """
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
                within_s = 60.0 + sum(file.size for file in some) / HASH_BYTES_PER_S
                sums = await self._transfer.unanswered(_sums_of(connection, some), within_s)
            if sums is None and not self._is_blind:
                self._is_blind = True
                log.warning("the machine can't tell SHA-256 sums: the files were checked by size alone")
            for at, file in enumerate(some):
                self._sums[file.name].set_result(None if sums is None else sums[at])

        await all_of(add_up(some) for some in batches if some)


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
