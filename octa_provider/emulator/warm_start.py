"""Emulators as child processes that are forked from one of ours, which has everything loaded: see `warm_process`."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO

from octa_provider.emulator.warm_process import LENGTH_BYTES

_STANDARD_ERROR = 2


class WarmChild:
    """An emulator that was forked, with what `testing` needs of `subprocess.Popen`.

    Attributes:
        pid: its process.
        stdin: closes with the block; then it ends.
        stdout: what it prints.
    """

    def __init__(self, pid: int, stdin: int, stdout: int, told: int) -> None:
        self.pid = pid
        self.stdin: IO[bytes] = os.fdopen(stdin, "wb", buffering=0)
        self.stdout: IO[bytes] = os.fdopen(stdout, "rb")
        self._told = told
        self._status: int | None = None
        # Of the process, whoever has its pid later; none when it has ended already, and has been waited for.
        self._process: int | None = None
        with contextlib.suppress(ProcessLookupError):
            self._process = os.pidfd_open(pid)

    def __enter__(self) -> WarmChild:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stdout.close()
        self.stdin.close()
        self.wait()
        os.close(self._told)
        if self._process is not None:
            os.close(self._process)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, -N when signal N ended it.

        Args:
            timeout: seconds to wait for its end; None for as long as it takes.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        if self._status is None:
            if self._process is not None:
                poll = select.poll()
                poll.register(self._process, select.POLLIN)
                if not poll.poll(None if timeout is None else timeout * 1000):
                    raise subprocess.TimeoutExpired(f"emulator {self.pid}", timeout or 0.0)
            # Nothing, when what forked it was killed before it: then nobody knows.
            self._status = int(os.read(self._told, LENGTH_BYTES) or b"1")
        return self._status

    def terminate(self) -> None:
        """Ask it to end, unless it has."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it, unless it has."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, number)


class _WarmProcess:
    """What forks them; one of each process of ours, from its first start on."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "octa_provider.emulator.warm_process", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._orders = ours

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str]) -> WarmChild:
        """An emulator with these arguments and this environment, in our folder.

        Raises:
            OSError: the process that forks has ended.
        """
        body = json.dumps({"arguments": list(arguments), "environment": dict(environment)}).encode()
        folder = os.open(".", os.O_RDONLY)
        stdin, to_stdin = os.pipe()
        from_stdout, stdout = os.pipe()
        told, tells = os.pipe()
        try:
            length = str(len(body)).encode().rjust(LENGTH_BYTES)
            socket.send_fds(self._orders, [length], [folder, stdin, stdout, _STANDARD_ERROR, tells])
            self._orders.sendall(body)
            answer = self._orders.recv(LENGTH_BYTES, socket.MSG_WAITALL)
            if not answer:
                raise ConnectionResetError("the process that forks emulators has ended, see its error output")
        except BaseException:
            for descriptor in (to_stdin, from_stdout, told):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (folder, stdin, stdout, tells):
                os.close(descriptor)
        return WarmChild(int(answer), to_stdin, from_stdout, told)

    def leave(self) -> None:
        """End it; what it has forked is not touched."""
        self.let_go()
        self._process.wait()

    def let_go(self) -> None:
        """Hold it no longer."""
        self._orders.close()


_lock = threading.Lock()
_warm: _WarmProcess | None = None
#: Of those that we were forked from, kept as they are: they are not ours to wait for.
_of_parents: list[_WarmProcess] = []


def can_start_warm() -> bool:
    """Whether emulators can be forked here."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def start_warm(arguments: Sequence[str], environment: Mapping[str, str]) -> WarmChild:
    """Fork an emulator.

    Its folder and its standard error are ours of now; its limits and its priority those of the first start.

    Args:
        arguments: of its command line.
        environment: all of its environment.

    Raises:
        OSError: the process that forks has ended, twice.
    """
    global _warm
    with _lock:
        if _warm is not None:
            try:
                return _warm.fork(arguments, environment)
            except OSError:
                # Somebody has ended it: the next one is as good.
                _warm.leave()
        _warm = _WarmProcess()
        return _warm.fork(arguments, environment)


def _leave() -> None:
    if _warm is not None:
        _warm.leave()


def _forget() -> None:
    """In a child that was forked from us: what we have is our parent's."""
    global _lock, _warm
    if _warm is not None:
        _warm.let_go()
        _of_parents.append(_warm)
    _lock, _warm = threading.Lock(), None


atexit.register(_leave)
os.register_at_fork(after_in_child=_forget)
