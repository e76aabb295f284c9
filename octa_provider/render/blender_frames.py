"""What a Blender command line tells of the frames that it renders."""

from __future__ import annotations

import shlex
from itertools import pairwise

from octa_provider.render.frames import parse

__all__ = ["blender_frames", "renders_frames"]

#: Blender's other names for what tells how many frames there are.
_SHORT = {"--render-frame": "-f", "--frame-start": "-s", "--frame-end": "-e", "--frame-jump": "-j"}
_RENDERS = frozenset({"-a", "--render-anim", "-f", "--render-frame"})


def renders_frames(command: str) -> bool:
    """Whether a Blender command line renders frames at all.

    Args:
        command: as the shell reads it.
    """
    return not _RENDERS.isdisjoint(command.split())


def blender_frames(command: str) -> int | None:
    """How many frames a Blender command line renders, from `-f`, or `-s`, `-e` and `-j`; None when it does not tell."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    value = {_SHORT.get(name, name): after for name, after in pairwise(words)}
    try:
        if "-f" in value:
            return len(parse(value["-f"].replace("..", "-")))
        first, last, step = int(value.get("-s", "1")), int(value["-e"]), int(value.get("-j", "1"))
        return len(range(first, last + 1, step)) or None
    except (KeyError, ValueError):
        return None
