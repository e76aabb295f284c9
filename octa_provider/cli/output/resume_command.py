"""The command that goes on with a batch, such that it works when it is pasted."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

__all__ = ["resume_command"]


def resume_command(output: str | os.PathLike[str]) -> str:
    """The command that goes on with the batch of a folder.

    Args:
        output: the folder; where it stands does not matter to the command.
    """
    path = str(Path(output).absolute())
    return f"octa-provider render --resume {shlex.quote(path) if path.isprintable() else _escaped(path)}"


def _escaped(path: str) -> str:
    """A word for a shell such as bash or zsh, without what a terminal would obey, or what is no text."""
    written = "".join(
        f"\\{char}"
        if char in "'\\"
        else char
        if char.isprintable()
        else "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))
        for char in path
    )
    return f"$'{written}'"
