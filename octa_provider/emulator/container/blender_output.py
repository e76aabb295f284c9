"""What Blender's command prints, in the order in which it happens: Python and Blender's C code have own buffers.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

import ctypes
import sys


def say(text: str) -> None:
    """Print a line at once, after what Blender printed before it."""
    flush()
    print(text, flush=True)


def complain(text: str) -> None:
    """Print a line to standard error, after what Blender printed before it."""
    flush()
    print(text, file=sys.stderr, flush=True)


def flush() -> None:
    """Empty the buffers of Blender's C code and of Python."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)
