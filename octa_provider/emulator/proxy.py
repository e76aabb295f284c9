"""A session's http port behind a real URL."""

from __future__ import annotations

import asyncio
import contextlib
import socket

_BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
)


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class HttpPortProxy:
    """Carries bytes both ways, so that streams, uploads and WebSockets pass; 502 when nothing listens behind it.

    Args:
        target_port: where the session's process listens.
        name: how the user calls the port, for the 502's text.
    """

    def __init__(self, target_port: int, name: str) -> None:
        self._target_port = target_port
        self._name = name
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Listen on `port`, or on a free one when it is 0 or taken. Returns the port."""
        try:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", port)
        except OSError:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            try:
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            except OSError:
                text = f"Nothing listens on port {self._name} of this session yet.\n".encode()
                writer.write(_BAD_GATEWAY % (len(text), text))
                await writer.drain()
                return
            try:
                await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
            finally:
                inner_writer.close()
        except (ConnectionError, asyncio.CancelledError):
            # The session ended or a side hung up: both connections close, which is all there is to say.
            pass
        finally:
            writer.close()
            self._connections.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
