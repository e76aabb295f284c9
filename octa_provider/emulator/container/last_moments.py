"""Faults that end a process while it renders, or let it never end.

This file imports nothing from the rest of the package: interpreters that do not have the package read it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from .frame_faults import Met

__all__ = ["NO_DEVICE", "OUT_OF_MEMORY", "end_in_frame", "wait_to_be_killed"]

#: Cycles' own words: for a device that is not there (bpy 4.5), and for a graphics card that is full (public logs).
NO_DEVICE = "Error: Found no Cycles device of the specified type"
OUT_OF_MEMORY = "System is out of GPU and shared host memory"


def end_in_frame(met: Met, path: Path) -> None:
    """End the process in the frame that it has just begun, where a fault says so.

    Args:
        met: the faults that the frame meets.
        path: its file, which is empty now.
    """
    if "node_dies" in met:
        wait_to_be_killed()
    if "killed" in met:
        # As the kernel does it to whoever takes too much memory.
        os.kill(os.getpid(), signal.SIGKILL)
    if "out_of_memory" in met:
        print(f"{OUT_OF_MEMORY}\nError: {OUT_OF_MEMORY}", flush=True)
        # Blender takes its empty file away when it gives up a frame.
        if path.is_file() and not path.stat().st_size:
            path.unlink()
        sys.stdout.flush()
        os._exit(1)


def wait_to_be_killed() -> NoReturn:
    """Do nothing until a signal ends the process."""
    while True:
        signal.pause()
