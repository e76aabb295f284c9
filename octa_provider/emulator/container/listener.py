"""A TCP port of this machine whose connections something carries on, until it is closed."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

__all__ = ["Listener"]


class Listener(ABC):
    """A port that listens; a child says what becomes of a connection."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Listen on `port`, or on a free one when it is 0 or taken. Returns the port."""
        try:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        except OSError:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @abstractmethod
    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end; it is closed afterwards.

        Args:
            reader: what whoever connected sends.
            writer: what they get.
        """

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self.carry(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            # The session ended or a side hung up: the connection closes, which is all there is to say.
            pass
        finally:
            writer.close()
            self._connections.discard(task)
