"""A relay for Blender's log: its lines pass through a process of ours, and come out in another form.

Blender's own code prints them, so that no handler could change one.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .blender_output import flush

__all__ = ["LogRelay"]

_OUT = 1
_RELAY = Path(__file__).with_name("log_forms.py")


class LogRelay:
    """Sends what this process prints through a relay, until it is closed.

    Args:
        root: the folder that no line names.
        form: which Blender's lines come out: 4 or 5.
    """

    def __init__(self, root: Path, form: int = 4) -> None:
        flush()
        self._before = os.dup(_OUT)
        reader, writer = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-E", "-s", "-S", str(_RELAY), str(root), str(form)], stdin=reader, stdout=self._before
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
