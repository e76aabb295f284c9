"""Every I/O boundary of a process, counted as it is crossed, and a SIGKILL, or another signal, at a chosen one.

Nothing here knows what the process does: the methods of `socket.socket`, the writing calls of `os`, files opened for
writing and new processes are wrapped, whichever library makes them. Standard library only: it also runs where our
package is not installed.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

_REQUEST_LINE = re.compile(rb"^([A-Z]+) (/\S*) HTTP/1\.1")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WRITING = os.O_WRONLY | os.O_RDWR

_write = os.write


class Boundaries:
    """Counts the boundaries that this process crosses; one that is chosen kills it.

    Args:
        point: the name of the boundary to die at; None for none.
        occurrence: die when it is crossed for so many-th time.
        number: die at the so many-th boundary, whatever its name; None for none.
        report: a file descriptor that gets the name before the process dies.
        signal_name: what it gets there.
        again: it gets the same once more, so many boundaries later; None for not.

    Attributes:
        phase: of the work, as it says itself.
        held: the sessions that the work was told of, as it says itself.
        crossed: how often each boundary was crossed.
        over: whether the work is, so that nothing is counted any more, and nothing comes.
    """

    def __init__(
        self,
        point: str | None,
        occurrence: int,
        number: int | None,
        report: int,
        signal_name: str = "SIGKILL",
        again: int | None = None,
    ) -> None:
        self.phase = "start"
        self.held: list[str] = []
        self.crossed: Counter[str] = Counter()
        self.over = False
        self._signal = signal.Signals[signal_name]
        self._again = again
        self._again_at: int | None = None
        self._request = "-"
        self._posted = False
        self._point, self._occurrence, self._number, self._report = point, occurrence, number, report
        self._total = 0

    def cross(self, event: str) -> None:
        """Note one boundary, and die if it is the chosen one."""
        if self.over:
            return
        name = f"{self.phase} | {self._request} | {event}"
        self.crossed[name] += 1
        self._total += 1
        if self._total == self._number or (name == self._point and self.crossed[name] == self._occurrence):
            _write(self._report, f"{name}\n".encode())
            if self._again is not None:
                self._again_at = self._total + self._again
            os.kill(os.getpid(), self._signal)
        elif self._total == self._again_at:
            os.kill(os.getpid(), self._signal)

    def install(self) -> None:
        """Wrap what does I/O in this process, for good."""
        self._name_requests()
        for name in ("connect", "recv", "recv_into", "close", "shutdown"):
            self._wrap(socket.socket, name)
        self._wrap_sending("sendall")
        self._wrap_sending("send")
        for name in ("write", "fsync", "replace", "rename", "unlink", "remove"):
            self._wrap(os, name)
        sys.addaudithook(self._audit)

    def _wrap(self, owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def crossing(*args: Any, **kwargs: Any) -> Any:
            self.cross(f"before {name}")
            result = original(*args, **kwargs)
            self.cross(f"after {name}")
            return result

        setattr(owner, name, crossing)

    def _wrap_sending(self, name: str) -> None:
        original: Callable[..., Any] = getattr(socket.socket, name)

        def crossing(sock: socket.socket, data: Any, *args: Any) -> Any:
            piece = bytes(data)
            line = _REQUEST_LINE.match(piece)
            if line is not None:
                self._name(line[1].decode(), line[2].decode())
            what = "headers" if line is not None else "body"
            self.cross(f"before {name} of {what}")
            half = len(piece) // 2
            if self._dies_at_half(name, what):
                original(sock, piece[:half], *args)
            self.cross(f"half of {name} of {what}")
            result = original(sock, data, *args)
            self.cross(f"after {name} of {what}")
            return result

        setattr(socket.socket, name, crossing)

    def _dies_at_half(self, name: str, what: str) -> bool:
        """Only then may half of the bytes leave alone: whoever lives on has to send them once."""
        if self._signal is not signal.SIGKILL:
            return False
        event = f"{self.phase} | {self._request} | half of {name} of {what}"
        named = event == self._point and self.crossed[event] + 1 == self._occurrence
        return named or self._total + 1 == self._number

    def _name_requests(self) -> None:
        # Known before the connection is made, so that `connect` belongs to the request that wants it.
        original = http.client.HTTPConnection.putrequest

        def putrequest(connection: Any, method: str, url: str, *args: Any, **kwargs: Any) -> None:
            self._name(method, url)
            original(connection, method, url, *args, **kwargs)

        http.client.HTTPConnection.putrequest = putrequest  # type: ignore[method-assign, assignment]

    def _name(self, method: str, target: str) -> None:
        self._request = f"{method} {_UUID.sub('{uuid}', target)}"
        if method == "POST":
            self._posted = True
        elif self._posted and self.phase == "start":
            # Another thing than the same request before money was spent.
            self._request += " after the POST"

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[2], int) and args[2] & _WRITING and args[0] != os.devnull:
            self.cross("before open for writing")
        elif event in ("subprocess.Popen", "os.posix_spawn"):
            self.cross("before a new process")
