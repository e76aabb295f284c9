"""A relay for Blender's log: its lines pass through here, and come out in another form.

Blender's own code prints them, so that no handler could change one. A process of its own reads what Blender prints:
`python log_relay.py ROOT` leaves every ROOT out, the folder in which frames lie before they come to their place.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["LogRelay", "relayed"]

_OUT = 1


class LogRelay:
    """Sends what this process prints through a relay, until it is closed.

    Args:
        root: the folder that no line names.
    """

    def __init__(self, root: Path) -> None:
        flush()
        self._before = os.dup(_OUT)
        reader, writer = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-E", "-s", "-S", __file__, str(root)], stdin=reader, stdout=self._before
        )
        os.close(reader)
        os.dup2(writer, _OUT)
        os.close(writer)

    def close(self) -> None:
        """Wait until the last line has come out, and print as before."""
        flush()
        os.dup2(self._before, _OUT)
        os.close(self._before)
        self._process.wait()


def flush() -> None:
    """Empty the buffers of C code and of Python."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)


def relayed(lines: Iterable[bytes], root: bytes) -> Iterator[bytes]:
    """The lines as they come out.

    Args:
        lines: as they were printed.
        root: what is left out of them.
    """
    for line in lines:
        yield line.replace(root, b"")


def main() -> None:
    """Relay the standard input."""
    for line in relayed(sys.stdin.buffer, os.fsencode(sys.argv[1])):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
