"""Files on a line in blocks: so many files at a time, and of all of them so many blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from octa_provider.remote.remote_files import all_of

if TYPE_CHECKING:
    from octa_provider.remote.transfer import Transfer

__all__ = ["FILES_AT_ONCE", "Line"]

FILES_AT_ONCE = 64
#: What every server takes in one packet is 32 kB; what tells more is asked for more, up to what OpenSSH takes.
BLOCK_BYTES = 255 * 1024
IN_FLIGHT_BYTES = 8 * 1024 * 1024


class Line:
    """One connection, on which the files of a transfer move.

    Args:
        most_bytes: how much of a file the server says that one packet takes; 0 when it does not say.
        transfer: told what has moved.

    Attributes:
        block: bytes of a file in one packet.
        files: to be held by a file while it moves.
    """

    def __init__(self, most_bytes: int, transfer: Transfer) -> None:
        self.block = max(4096, min(BLOCK_BYTES, most_bytes or BLOCK_BYTES))
        self.files = asyncio.Semaphore(FILES_AT_ONCE)
        self._at_once = max(16, IN_FLIGHT_BYTES // self.block)
        self._blocks = asyncio.Semaphore(self._at_once)
        self._transfer = transfer

    async def carry(self, size: int, move: Callable[[int, int], Coroutine[Any, Any, None]]) -> None:
        """Move a file block by block, as many as can be in flight; the first error ends the rest.

        Args:
            size: of the file, in bytes.
            move: moves one block, told its offset and its size.
        """
        following = 0

        async def carry_on() -> None:
            # Each takes the next block until there is none.
            nonlocal following
            while following < size:
                offset = following
                length = min(self.block, size - offset)
                following = offset + length
                async with self._blocks:
                    await move(offset, length)
                self._transfer.moved(length)

        wanted = min(-(-size // self.block), self._at_once)
        await all_of(carry_on() for _ in range(wanted))
