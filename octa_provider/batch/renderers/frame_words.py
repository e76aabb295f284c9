"""Frames as words: `1..5,7` for Blender's `-f`, cut so that no argument is too long for the system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["MOST_ARGUMENT_BYTES", "frame_arguments", "frame_words", "own_first", "own_in_a_row", "runs"]

#: Linux takes 128 KiB in one argument: all of `1,2,3,...` fails at some 24,000 frames.
MOST_ARGUMENT_BYTES = 100_000


def runs(frames: Iterable[int]) -> list[tuple[int, int]]:
    """Frames that follow each other, as (first, last), in the order given."""
    found: list[tuple[int, int]] = []
    for frame in frames:
        if found and frame == found[-1][1] + 1:
            found[-1] = (found[-1][0], frame)
        else:
            found.append((frame, frame))
    return found


def frame_words(frames: Iterable[int], mark: str = "..") -> list[str]:
    """Each run as a word: `5`, or `1..4`."""
    return [str(first) if first == last else f"{first}{mark}{last}" for first, last in runs(frames)]


def frame_arguments(frames: Iterable[int], mark: str = "..") -> list[str]:
    """`1..5,7`, as many arguments as it takes, in the order given.

    Args:
        frames: the frames; not negative, since `-2` means the second from the end to Blender.
        mark: what stands between the first and the last of a run.
    """
    arguments: list[str] = []
    words: list[str] = []
    size = 0
    for word in frame_words(frames, mark):
        if words and size + len(word) + 1 > MOST_ARGUMENT_BYTES:
            arguments.append(",".join(words))
            words, size = [], 0
        words.append(word)
        size += len(word) + 1
    if words:
        arguments.append(",".join(words))
    return arguments


def own_first(frames: Sequence[int], turn: int, turns: int) -> list[int]:
    """The frames in the order in which one of several processes takes them: every turns-th, then the others'."""
    own = list(frames[turn::turns])
    return own + [frame for at, frame in enumerate(frames) if at % turns != turn]


def own_in_a_row(frames: Sequence[int], turn: int, turns: int) -> list[int]:
    """The piece of one of several processes that can't help each other: frames that follow each other."""
    return list(frames[len(frames) * turn // turns : len(frames) * (turn + 1) // turns])
