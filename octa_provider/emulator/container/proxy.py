"""A session's ports behind others: an http port behind a real URL, and one that is far away."""

from __future__ import annotations

import asyncio
import contextlib
import time

from octa_provider.emulator.container.listener import Listener

__all__ = ["DistantPort", "HttpPortProxy"]

_BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
)


class HttpPortProxy(Listener):
    """Carries bytes both ways, so that streams, uploads and WebSockets pass; 502 when nothing listens behind it.

    Args:
        target_port: where the session's process listens.
        name: how the user calls the port, for the 502's text.
    """

    def __init__(self, target_port: int, name: str) -> None:
        super().__init__()
        self._target_port = target_port
        self._name = name

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
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


class DistantPort(Listener):
    """Carries bytes both ways, and lets them take their time; the line's breadth is not limited.

    Args:
        target_port: where to.
        round_trip_s: seconds there and back.
    """

    def __init__(self, target_port: int, round_trip_s: float) -> None:
        super().__init__()
        self._target_port = target_port
        self._one_way_s = round_trip_s / 2

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        inner: asyncio.StreamWriter | None = None
        try:
            with contextlib.suppress(OSError):
                inner_reader, inner = await asyncio.open_connection("127.0.0.1", self._target_port)
                await asyncio.gather(self._pump(reader, inner), self._pump(inner_reader, writer))
        finally:
            if inner is not None:
                inner.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._one_way_s:
            await _pump(reader, writer)
            return
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, data = await way.get()
                if (left_s := due - time.monotonic()) > 0:
                    await asyncio.sleep(left_s)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
            writer.close()

        arriving = asyncio.create_task(arrive())
        try:
            data = b"x"
            while data:
                data = await reader.read(256 * 1024)
                way.put_nowait((time.monotonic() + self._one_way_s, data))
            await arriving
        finally:
            arriving.cancel()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
