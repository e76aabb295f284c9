"""Starts processes from a Python that has loaded Prefect already: see `started_ahead`."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from started_ahead import MOST_BYTES, ROOM

BIN = Path(sys.executable).parent


class ForkedProcess:
    """What of a `subprocess.Popen` the tests use, of a process that is the child of another."""

    def __init__(self, pid: int, server: ForkServer) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.code_of(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() >= until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self._server.wait_for_news(1.0 if until is None else min(1.0, max(0.0, until - time.monotonic())))
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """One Python that forks. It ends with this process: its end of the line is closed then, and it reads so."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = threading.RLock()
        self._codes: dict[int, int] = {}
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = Path(__file__).with_name("started_ahead.py")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, program, str(theirs.fileno())],
                env={**environment, ROOM: "x" * MOST_BYTES},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start(
        self, arguments: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path | None
    ) -> ForkedProcess:
        order = {"arguments": arguments, "environment": dict(environment), "folder": str(folder or Path.cwd())}
        with self._lock, open(log, "wb") as output:
            socket.send_fds(self._control, [json.dumps(order).encode()], [output.fileno()])
            while (pid := self._read()) is None:
                pass
        return ForkedProcess(pid, self)

    def code_of(self, pid: int) -> int | None:
        """What it ended with; None while it runs."""
        with self._lock:
            while select.select([self._control], [], [], 0)[0]:
                self._read()
            return self._codes.get(pid)

    def wait_for_news(self, seconds: float) -> None:
        select.select([self._control], [], [], seconds)

    def _read(self) -> int | None:
        """The next that the server tells: the process that has begun, or None after one that has ended."""
        message = self._control.recv(MOST_BYTES)
        assert message, f"the Python that forks has ended: {self._process.wait()}"
        told = json.loads(message)
        if "begun" in told:
            # Another may have had this number, and ended.
            self._codes.pop(told["begun"], None)
            return int(told["begun"])
        self._codes[told["ended"]] = told["code"]
        return None


_servers: dict[frozenset[tuple[str, str]], ForkServer] = {}
_starting = threading.Lock()


def start_forked(
    command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path | None
) -> ForkedProcess | None:
    """Start `prefect ...`, `python -m ...` or `python -c ...` in a session of its own.

    Returns:
        None if that can not be forked. A file with a program neither: it is run as users run it.
    """
    if sys.platform != "linux":
        return None
    if command[0] == str(BIN / "prefect"):
        arguments = list(command)
    elif command[0] == sys.executable and command[1] in ("-m", "-c"):
        arguments = list(command[1:])
    else:
        return None
    # Python itself reads these as it starts.
    read = frozenset((name, value) for name, value in environment.items() if name.startswith("PYTHON"))
    with _starting:
        if read not in _servers:
            others = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            _servers[read] = ForkServer(others | dict(read))
    return _servers[read].start(arguments, log, environment, folder)
