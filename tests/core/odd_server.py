"""A scripted HTTP server for what the emulator can't show: answers that drip, break off, lie, redirect or never come.

Every request takes the next step of the script; the last step repeats. A step is a function that gets the connection
and the request, and returns whether the connection stays open.
"""

from __future__ import annotations

import contextlib
import gzip
import json as jsonlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return jsonlib.loads(self.body)


Step = Callable[[socket.socket, Received], bool]


def raw(data: bytes, *, stay: bool = True) -> Step:
    """Send these bytes."""

    def step(connection: socket.socket, request: Received) -> bool:
        connection.sendall(data)
        return stay

    return step


def answer(status: int = 200, body: bytes | object = b"[]", **headers: str) -> Step:
    """An answer with a length; underscores in header names become hyphens. What is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else jsonlib.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join([*lines, "", ""]).encode("latin-1") + data)


def redirect(status: int, location: str) -> Step:
    return answer(status, b"", Location=location)


def truncated(declared: int, sent: bytes) -> Step:
    """Promise so many bytes, send fewer, hang up."""
    return raw(f"HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\n\r\n".encode() + sent, stay=False)


def chunked(*pieces: bytes, end: bool = True) -> Step:
    body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return raw(head + body + (b"0\r\n\r\n" if end else b""), stay=end)


def zipped(body: bytes) -> Step:
    return answer(200, gzip.compress(body), Content_Encoding="gzip")


def drip(piece: bytes, every_s: float, *, declared: int = 10_000) -> Step:
    """Send one small piece after another, each long before any timeout of a single read."""

    def step(connection: socket.socket, request: Received) -> bool:
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\n\r\n".encode())
        for _ in range(declared // len(piece)):
            connection.sendall(piece)
            time.sleep(every_s)
        return False

    return step


def dripping(data: bytes, every_s: float) -> Step:
    """Send these bytes one by one, whatever they are a part of."""

    def step(connection: socket.socket, request: Received) -> bool:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(every_s)
        return False

    return step


def endless(data: bytes, every_s: float) -> Step:
    """Send the same again and again, until the client hangs up."""

    def step(connection: socket.socket, request: Received) -> bool:
        while True:
            connection.sendall(data)
            time.sleep(every_s)

    return step


def silent(seconds: float = 1000.0) -> Step:
    """Read the request and say nothing until the client hangs up."""

    def step(connection: socket.socket, request: Received) -> bool:
        connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            connection.recv(1)
        return False

    return step


def hang_up(connection: socket.socket, request: Received) -> bool:
    """Read the request, close without an answer."""
    return False


def reset(connection: socket.socket, request: Received) -> bool:
    """Read the request, then cut the connection hard."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


class OddServer:
    """Serves a script on a loopback port until it is closed.

    Args:
        steps: the script.
        tls: a context to wrap each connection in.
        deaf: close every connection before reading a byte.
        port: where to listen; a free one when left out.

    Attributes:
        steps: what is left of the script; the last step stays.
    """

    def __init__(self, *steps: Step, tls: ssl.SSLContext | None = None, deaf: bool = False, port: int = 0) -> None:
        self.received: list[Received] = []
        self.accepts = 0
        self.steps = list(steps) or [answer()]
        self._tls = tls
        self._deaf = deaf
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> OddServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.accepts += 1
                number = self.accepts
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection as plain, contextlib.suppress(OSError):
            if self._deaf:
                return
            talk = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with self._lock:
                self._open.add(talk)
            try:
                talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with talk.makefile("rb") as lines:
                    while (request := _read(lines, number)) is not None:
                        with self._lock:
                            self.received.append(request)
                            step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                        if not step(talk, request):
                            break
            finally:
                with self._lock:
                    self._open.discard(talk)
                talk.close()


def _read(lines: Any, connection: int) -> Received | None:
    start = lines.readline().decode("latin-1").split()
    if len(start) < 2:
        return None
    headers: dict[str, str] = {}
    for line in _until_blank(lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = lines.read(int(headers.get("content-length", "0")))
    return Received(start[0], start[1], headers, body, connection)


def _until_blank(lines: Any) -> Iterable[str]:
    while (line := lines.readline().decode("latin-1").rstrip("\r\n")) != "":
        yield line


def refused_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
