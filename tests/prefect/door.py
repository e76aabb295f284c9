"""A door before a server: for whoever comes through it the server can be gone, while it serves all others on."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

from prefect_server import PrefectServer


class Door:
    """A port of this computer that leads to another one.

    Args:
        port: where the server is.
    """

    def __init__(self, port: int) -> None:
        self._inner = port
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port: int = self._listening.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._closed = False
        self._through: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """As when the server is killed: every connection is cut, new ones are refused."""
        with self._lock:
            self._closed = True
            through = set(self._through)
        _end(self._listening, *through)
        self._open.set()

    def freeze(self) -> None:
        """As when the server is stopped: connections are made, and nothing that comes is read or answered."""
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                outer, _ = self._listening.accept()
            except OSError:
                return
            self._open.wait()
            try:
                inner = socket.create_connection(("127.0.0.1", self._inner))
            except OSError:
                _end(outer)
                continue
            with self._lock:
                self._through |= {outer, inner}
                closed = self._closed
            if closed:
                _end(outer, inner)
                return
            for reads, writes in ((outer, inner), (inner, outer)):
                threading.Thread(target=self._pass, args=(reads, writes), daemon=True).start()

    def _pass(self, reads: socket.socket, writes: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := reads.recv(65536):
                self._open.wait()
                writes.sendall(data)
        # Not one that has closed its half while the door is frozen: nobody would notice that of a stopped server.
        self._open.wait()
        _end(reads, writes)
        with self._lock:
            self._through -= {reads, writes}


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        # Ends what another thread waits for, which `close` alone does not.
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


class ServerBehindDoor(PrefectServer):
    """A server that others use too, which goes away only for those that have this address of it."""

    def __init__(self, server: PrefectServer, door: Door) -> None:
        super().__init__(server.home, door.port, server.environment)
        self._door = door

    def go_away(self, how: str) -> None:
        if how == "killed":
            self._door.close()
        else:
            self._door.freeze()
