"""What every process's script begins with: plain POSIX shell, which busybox and dash understand too."""

from __future__ import annotations

from collections.abc import Sequence

from octa_provider.batch.renderers.file_pattern import FilePattern
from octa_provider.batch.renderers.frame_words import frame_words

__all__ = ["beginning", "each", "forget_empty"]

# No program is started for a frame: a script may go through a million of them.
_FUNCTIONS = """\
pad() {
  padded=${1#-}; sign=${1%"$padded"}
  while [ $((${#sign} + ${#padded})) -lt "$2" ]; do padded=0$padded; done
  padded=$sign$padded
}
each() {
  what=$1; shift
  for word do
    number=${word%%..*}; last=${word##*..}
    while [ "$number" -le "$last" ]; do "$what" "$number"; number=$((number + 1)); done
  done
}
"""


def each(what: str, frames: Sequence[int]) -> str:
    """A line that calls a function of the script for each of these frames."""
    return f"each {what} {' '.join(frame_words(frames))}"


def beginning(main: str, turn: int, turns: int, ocio: str | None) -> str:
    """The first lines of a process's script.

    Args:
        main: the scene's file as a word for the shell.
        turn: which of the machine's processes this is, from 0.
        turns: how many there are: each has a graphics card of its own.
        ocio: the colour configuration, as a word for the shell; None takes the renderer's own, wherever it runs.
    """
    lines = [
        "# Made by octa-provider: renders frames of the scene in this folder into the folder $OUT.",
        'OUT=${OUT-}; SCENE="$PWD"/' + main,
        "export OUT SCENE",
        "unset OCIO" if ocio is None else f"export OCIO={ocio}",
    ]
    if turns > 1:
        lines.append(f"export CUDA_VISIBLE_DEVICES={turn}")
    return "\n".join(lines) + "\n" + _FUNCTIONS


def forget_empty(pattern: FilePattern, frames: Sequence[int]) -> str:
    """Lines that remove empty files of frames: a process died there. OCTA_MINE names other frames, or none."""
    words = " ".join(frame_words(frames))
    return (
        f'forget() {{ pad "$1" {pattern.width}; file="$OUT"/{pattern.in_shell()}\n'
        '  if [ -e "$file" ] && ! [ -s "$file" ]; then rm -f "$file"; fi; }\n'
        f'if [ -n "${{OCTA_MINE+set}}" ]; then each forget $OCTA_MINE; else\neach forget {words}\nfi\n'
    )
