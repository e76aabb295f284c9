"""The forms of Blender's log: `python log_forms.py ROOT FORM` relays what another process prints.

Every ROOT is left out, the folder in which frames lie before they come to their place; with FORM 5, lines are those of
Blender 5.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator

__all__ = ["in_form_of_5", "relayed"]

#: How lines begin that Blender 5 still prints, and under which name.
_NAMES_IN_5 = {"Saved: ": "render", "skipping existing frame ": "render", "Read blend: ": "blend"}
#: These it does not print.
_ONLY_IN_4 = ("Fra:", "Time: ")


def in_form_of_5(line: str, seconds: float) -> str:
    """A line of Blender 4 as Blender 5 prints it; empty for one that it does not print.

    Args:
        line: with its end.
        seconds: since the process began.
    """
    if line.startswith(_ONLY_IN_4):
        return ""
    for begin, name in _NAMES_IN_5.items():
        if line.startswith(begin):
            return f"{int(seconds) // 60:02d}:{seconds % 60:06.3f}  {name:<16} | {line}"
    return line


def relayed(
    lines: Iterable[bytes], root: bytes, form: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[bytes]:
    """The lines as they come out.

    Args:
        lines: as they were printed.
        root: what is left out of them.
        form: which Blender's lines come out.
        clock: seconds, from anywhere.
    """
    began = clock()
    for line in lines:
        shown = line.replace(root, b"")
        if form == 5:
            shown = os.fsencode(in_form_of_5(os.fsdecode(shown), clock() - began))
        yield shown


def main() -> None:
    """Relay the standard input."""
    for line in relayed(sys.stdin.buffer, os.fsencode(sys.argv[1]), int(sys.argv[2])):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
