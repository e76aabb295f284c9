"""What faults make of a frame's file.

This file imports nothing from the rest of the package: interpreters that do not have the package read it.
"""

from __future__ import annotations

import signal
from typing import NoReturn

from .frame_faults import Met

__all__ = ["end_or_hang", "spoiled"]


def end_or_hang(met: Met) -> None:
    """End the process, or never return, where a fault says so: the node died."""
    if "node_dies" in met:
        wait_to_be_killed()


def wait_to_be_killed() -> NoReturn:
    """Do nothing until a signal ends the process."""
    while True:
        signal.pause()


def spoiled(picture: bytes, met: Met) -> bytes:
    """What lies under the frame's name instead of its picture.

    Args:
        picture: the file as it was rendered.
        met: the faults that the frame meets.
    """
    if "cut" in met or ("disk_full" in met and not met["disk_full"]["turn"]):
        # The file in which a disk fills up is cut off; those that follow have no byte.
        return picture[: len(picture) // 2]
    if "disk_full" in met:
        return b""
    return picture
