"""What a machine tells of its processes and files. It may be hostile: what is not expected is not heard."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field

__all__ = ["FileSeen", "Look", "read_look", "read_made"]

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_EXIT = re.compile(r"[0-9]{1,3}")
_STATES = {"absent", "running", "gone"}


@dataclass(frozen=True)
class FileSeen:
    """A file on the machine.

    Attributes:
        size: bytes.
        mtime: when it was written last, on the machine's clock, in seconds.
    """

    size: int
    mtime: float


@dataclass
class Look:
    """How a machine is doing.

    Attributes:
        now: the machine's clock, in seconds; None when it does not tell.
        free_bytes: room on its disk; None when it does not tell.
        processes: by number, the exit status of those that have ended; None for one that runs, -1 for one that is gone
            without a status, and for one that it does not know.
        files: by name, those that are there.
    """

    now: float | None = None
    free_bytes: int | None = None
    processes: dict[int, int | None] = field(default_factory=dict)
    files: dict[str, FileSeen] = field(default_factory=dict)


def read_look(text: str, processes: Collection[int], names: Collection[str]) -> Look:
    """What `look_command` printed.

    Args:
        text: what the machine said.
        processes: those that were asked about; all others are left out.
        names: the files that were asked about; all others are left out.
    """
    look = Look(processes=dict.fromkeys(processes, -1))
    wanted = set(names)
    for line in text.split("\n"):
        kind, _, rest = line.partition(" ")
        if kind == "now":
            look.now = _seconds(rest)
        elif kind == "free":
            kib = _seconds(rest)
            look.free_bytes = None if kib is None else int(kib) * 1024
        elif kind == "process":
            number, _, state = rest.partition(" ")
            if number.isdecimal() and len(number) < 10 and int(number) in look.processes:
                look.processes[int(number)] = _state(state)
        elif kind == "file":
            size, _, rest = rest.partition(" ")
            mtime, _, name = rest.partition(" ")
            at = _seconds(mtime)
            if name in wanted and size.isdecimal() and len(size) < 16 and at is not None:
                look.files[name] = FileSeen(int(size), at)
    return look


def read_made(text: str) -> tuple[list[int], list[str]]:
    """What `made_command` printed: the processes that were begun, and the names of files that are not empty."""
    processes: list[int] = []
    names: list[str] = []
    for line in text.split("\n"):
        kind, _, rest = line.partition(" ")
        if kind == "process" and rest.isdecimal() and len(rest) < 10:
            processes.append(int(rest))
        elif kind == "name" and rest:
            names.append(rest)
    return processes, names


def _state(text: str) -> int | None:
    if text == "running":
        return None
    return int(text) if _EXIT.fullmatch(text) and text not in _STATES else -1


def _seconds(text: str) -> float | None:
    if not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    return value if math.isfinite(value) else None
