"""What a hostile machine puts where its frames should be: names, links, sizes and files without an end.

This file imports nothing from the rest of the package: interpreters that do not have the package read it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from .frame_faults import Met
from .png_bytes import huge_png

__all__ = ["HUGE_BYTES", "NAMES", "bring"]

#: Sparse: it takes no room here, and none in a listing says so.
HUGE_BYTES = 2**36
#: Beside the frame: what breaks a terminal, a line, a shell, an encoding, or a path that is put together carelessly.
NAMES = (
    b"frame_0001\x1b[2J\x1b]0;owned\x07.png",
    b"frame_0001\nframe_0002.png",
    b"-rf",
    b"$(touch pwned).png",
    b"' \" `touch pwned` ;.png",
    b"..\\..\\frame_0001.png",
    b"frame_\xff\xfe.png",
    "frame_\u202egnp.0001".encode(),
    b"frame_" + b"9" * 200 + b".png",
    b" ",
)
# Grows by 16 MB each hundredth of a second, sparse, quicker than anybody reads; up to what a file system allows.
_GROW = """
import os, sys, time
with open(sys.argv[1], "r+b") as file:
    for size in range(2**24, 2**40, 2**24):
        os.ftruncate(file.fileno(), size)
        time.sleep(0.01)
"""


def bring(path: Path, final: Path, met: Met, size: tuple[int, int]) -> None:
    """Bring a frame to its place, as a hostile machine would where a fault says so.

    Args:
        path: where its file lies now.
        final: its place; nobody sees it there as it was before.
        met: the faults that it meets.
        size: its width and height in pixels.
    """
    if "hostile_names" in met:
        for name in NAMES:
            # Its names are bytes: not all of them are text.
            with open(os.path.join(os.fsencode(final.parent), name), "wb") as file:  # noqa: PTH118
                file.write(path.read_bytes())
    if "hostile_links" in met:
        _link(path, Path("/etc/passwd"))
        _link(final.with_name("up"), Path("/"))
        _link(final.with_name("self"), Path("self"))
    if "hostile_pipe" in met:
        path.unlink()
        os.mkfifo(path)
    if "hostile_size" in met:
        os.truncate(path, HUGE_BYTES)
    if "hostile_pixels" in met:
        path.write_bytes(huge_png(size))
    if "endless_file" in met:
        subprocess.Popen(
            [sys.executable, "-E", "-s", "-S", "-c", _GROW, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while path.stat().st_size < 2**24:
            time.sleep(0.001)
    path.replace(final)


def _link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)
