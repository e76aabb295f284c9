"""Frame ranges and the chunks that jobs render, over `fileseq`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from octa_provider.errors import OctaConfigError

MAX_FRAMES = 1_000_000
_RANGE = re.compile(r"(-?[0-9]{1,9})-(-?[0-9]{1,9})(?:x([0-9]{1,9}))?")
_PART = re.compile(r"-?[0-9]{1,9}(--?[0-9]{1,9}(x[0-9]{1,9})?)?")


@dataclass(frozen=True)
class Frames:
    """Frame numbers in ascending order, each once.

    Attributes:
        numbers: the frames, at least one.
    """

    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.numbers or any(low >= high for low, high in pairwise(self.numbers)):
            raise OctaConfigError("frames must be at least one number, ascending, each once: use parse('1-240')")

    @property
    def first(self) -> int:
        """The lowest frame."""
        return self.numbers[0]

    @property
    def last(self) -> int:
        """The highest frame: never past the end of what was asked for, whatever the step."""
        return self.numbers[-1]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __str__(self) -> str:
        """The range in its shortest form: `1-10`, `1-9x2`, `1-3,7`."""
        # Imported where it is used: it takes longer than all else of a DAG file that only names this module.
        from fileseq.frameset import FrameSet

        return str(FrameSet(self.numbers))


def parse(text: str) -> Frames:
    """Read a frame range.

    Args:
        text: `1-240`, `1-240x2` (every second), `1,5,10-20`; `x` is the only way to write a step, since `:` and `y`
            mean different things in different tools.

    Raises:
        OctaConfigError: it is not a range, is empty, or has more than a million frames.
    """
    from fileseq.exceptions import FileSeqException
    from fileseq.frameset import FrameSet

    parts = [part.strip() for part in text.split(",")] if isinstance(text, str) else [""]
    if not all(_PART.fullmatch(part) for part in parts):
        raise OctaConfigError(f"{text!r} is not a frame range: write it like 1-240, 1-240x2 or 1,5,10-20")
    for part in parts:
        _refuse_odd_part(part)
    try:
        numbers = sorted({int(number) for number in FrameSet(",".join(parts))})
    except FileSeqException as error:
        raise OctaConfigError(f"{text!r} is not a frame range: write it like 1-240, 1-240x2 or 1,5,10-20") from error
    if len(numbers) > MAX_FRAMES:
        raise OctaConfigError(f"{text!r} has more than {MAX_FRAMES} frames: split it")
    return Frames(tuple(numbers))


def chunks(frames: str | Frames, *, parts: int | None = None, size: int | None = None) -> tuple[Frames, ...]:
    """Cut a range into chunks, in order: every frame in exactly one, none empty, none past the end.

    Args:
        frames: the range.
        parts: into so many chunks, whose lengths differ by one at most; fewer when there are fewer frames.
        size: or into chunks of so many frames; the last one may be shorter.

    Raises:
        OctaConfigError: not exactly one of `parts` and `size`, or not at least 1.
    """
    whole = parse(frames) if isinstance(frames, str) else frames
    if (parts is None) == (size is None):
        raise OctaConfigError("give either parts= or size=")
    count = parts if parts is not None else size
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise OctaConfigError(
            f"{'size' if parts is None else 'parts'} must be a whole number, 1 or more, not {count!r}"
        )
    numbers = whole.numbers
    if parts is None:
        return tuple(Frames(numbers[start : start + count]) for start in range(0, len(numbers), count))
    count = min(count, len(numbers))
    edges = [len(numbers) * index // count for index in range(count + 1)]
    return tuple(Frames(numbers[start:end]) for start, end in pairwise(edges))


def _refuse_odd_part(part: str) -> None:
    match = _RANGE.fullmatch(part)
    if match is None:
        return
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if last < first:
        raise OctaConfigError(f"the frame range {part!r} runs backwards: write the lower frame first")
    if step == 0:
        raise OctaConfigError(f"the frame range {part!r} has a step of 0: write 1 or more")
    if (last - first) // step + 1 > MAX_FRAMES:
        raise OctaConfigError(f"the frame range {part!r} has more than {MAX_FRAMES} frames: split it")
