"""Asked by whatever renders on an emulated machine: which faults does this process, this frame, this end meet?

The emulator answers and counts (`octa_provider.emulator.faults.render_faults`); a process only says where it is. While
no fault is about rendering there is no file that names a port, and nobody is asked.

This file imports nothing from the rest of the package: interpreters that do not have the package read it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["PORT_FILE", "SESSION_MARK", "STATE_MARK", "FrameFaults", "Met"]

#: Every process of a session inherits these two, whatever it forks, detaches or renames.
SESSION_MARK = "OCTA_EMULATOR_SESSION"
STATE_MARK = "OCTA_EMULATOR_STATE"
#: In the emulator's state folder: the port that answers, while a fault is about rendering.
PORT_FILE = "render-faults.json"
#: A busy machine takes its time, and no fault may be missed for it; an emulator that is gone refuses at once.
_ANSWER_WITHIN_S = 600.0

#: The faults that are met, by their forms; each with its options and its `turn`, counted from 0 in this session.
Met = Mapping[str, Mapping[str, Any]]


class FrameFaults:
    """What the emulator does to one machine that renders.

    Args:
        environment: the environment of the process that renders; a session's has two marks of the emulator.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._session = environment.get(SESSION_MARK, "")
        state = environment.get(STATE_MARK, "")
        self._port_file = Path(state) / PORT_FILE if state else None

    def at_start(self, device: str = "") -> Met:
        """The faults of a process that begins.

        Args:
            device: the device that it was told to use, such as `OPTIX`.
        """
        return self._ask({"event": "start", "device": device})

    def at_frame(self, frame: int) -> Met:
        """The faults of a frame that begins."""
        return self._ask({"event": "frame", "frame": frame})

    def at_end(self) -> Met:
        """The faults of a process that has rendered its last frame."""
        return self._ask({"event": "end"})

    def _ask(self, question: dict[str, Any]) -> Met:
        if self._port_file is None:
            return {}
        try:
            port = json.loads(self._port_file.read_bytes())["port"]
            with socket.create_connection(("127.0.0.1", port), _ANSWER_WITHIN_S) as connection:
                connection.sendall(json.dumps(question | {"session": self._session}).encode() + b"\n")
                with connection.makefile("rb") as answer:
                    met: Met = json.loads(answer.readline())
                    return met
        except (OSError, ValueError):
            # No such fault is in force, or the emulator is gone: then nothing happens to a machine.
            return {}
