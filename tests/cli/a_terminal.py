"""A command in a terminal of its own, of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from octa_provider.emulator.testing import EmulatorHandle
from tests.forked_python import start_python

LONG_S = 600.0
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Terminal:
    """What a command shows in its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], ours: int) -> None:
        self.process = process
        self._ours = ours
        self._shown = b""

    @property
    def text(self) -> str:
        """What it has shown so far, without colours and cursor movements."""
        return _ESCAPES.sub("", self._shown.decode("utf-8", "replace")).replace("\r", "\n")

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def read_until(self, text: str) -> None:
        """Wait until it shows this."""
        until = time.monotonic() + LONG_S
        while text not in self.text:
            assert time.monotonic() < until, self.text
            assert self._read(), self.text

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._ours, text.encode())

    def status(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        return self.process.wait(LONG_S)

    def _read(self) -> bool:
        try:
            piece = os.read(self._ours, 65536)
        except OSError:
            return False
        self._shown += piece
        return bool(piece)


@contextmanager
def in_terminal(emulator: EmulatorHandle, columns: int, *words: str, **env: str) -> Iterator[Terminal]:
    """`octa-provider` with these words."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    own = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = start_python(
        [sys.executable, "-m", "octa_provider", *words],
        env=own | emulator.env() | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"} | env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(LONG_S)
        os.close(ours)
