"""A part of a file on a rented machine, such as what is new in a log: no more than that comes over the line."""

from __future__ import annotations

import asyncio
import shlex
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from octa_provider.errors import OctaSshError
from octa_provider.files.local_files import shown

if TYPE_CHECKING:
    import asyncssh

__all__ = ["read_part"]

#: What is read of a file at a time.
PART_BYTES = 4 * 1024 * 1024
#: On a slow line a part is what has come until then.
PART_S = 30.0
_SIZE_DIGITS = 30

# Plain POSIX. The size comes first: what is written meanwhile comes another time.
_READ = 'wc -c < "$1" && exec tail -c "+$2" "$1"'


async def read_part(connection: asyncssh.SSHClientConnection, path: str, offset: int) -> tuple[int, bytes]:
    """The size of a file, and its bytes from an offset on, as many as a part has.

    Args:
        connection: to the machine.
        path: of the file, relative to the login folder or absolute.
        offset: in bytes; behind the end of the file there is nothing.

    Raises:
        OctaSshError: the machine can't read it.
    """
    import asyncssh

    command = shlex.join(["/bin/sh", "-c", _READ, "octa-read", path, str(offset + 1)])
    process = await connection.create_process(command, stdin=asyncssh.DEVNULL, stderr=asyncssh.DEVNULL, encoding=None)
    said = b""
    until = time.monotonic() + PART_S
    try:
        while len(said) < PART_BYTES + _SIZE_DIGITS:
            left_s = max(0.0, until - time.monotonic())
            try:
                piece = await asyncio.wait_for(process.stdout.read(PART_BYTES), left_s)
            except (TimeoutError, asyncio.TimeoutError):
                break
            if not piece:
                break
            said += piece
    finally:
        with suppress(OSError):
            process.kill()
        process.close()
    size, ended, data = said.partition(b"\n")
    if not ended or len(size) > _SIZE_DIGITS or not size.strip().isdigit():
        raise OctaSshError(f"the machine can't read {shown(path)}", lost=True)
    whole = int(size)
    return whole, data[: max(0, min(PART_BYTES, whole - offset))]
