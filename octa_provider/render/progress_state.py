"""What was seen of a job's progress: a value that travels between processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

__all__ = ["MAX_LINE_CHARS", "MOST_STEPS", "ProgressState"]

# A pattern of a user's is run on every line; this bounds what one line can cost.
MAX_LINE_CHARS = 4096
MOST_STEPS = 1_000_000_000

_Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Steps = Annotated[int, msgspec.Meta(ge=0, le=MOST_STEPS)]
_Line = Annotated[str, msgspec.Meta(max_length=MAX_LINE_CHARS)]


class ProgressState(msgspec.Struct):
    """What a `ProgressTracker` has seen.

    Attributes:
        fraction: how far all of it is, 0 to 1; None when no line has told.
        frame: the present frame of Blender's; None when it tells none.
        frame_saved: whether a file of that frame has been saved.
        frames_done: how many frames are done.
        steps_done: how many steps are done, where each counts up to its own end.
        of_step: how far the present step is, 0 to 1.
        in_percent: whether a line has told a percentage.
        saved_as: the numbers in the name of the file that was saved last.
        unfinished: how the line stands that has not ended.
    """

    fraction: _Fraction | None = None
    frame: int | None = None
    frame_saved: bool = False
    frames_done: _Steps = 0
    steps_done: _Steps = 0
    of_step: _Fraction = 0.0
    in_percent: bool = False
    saved_as: _Line | None = None
    unfinished: _Line = ""

    def to_dict(self) -> dict[str, Any]:
        """The state as a small JSON value; `with_what_fits` reads it."""
        return msgspec.structs.asdict(self)

    def with_what_fits(self, state: Mapping[str, Any]) -> ProgressState:
        """The same state with what another one tells. Each of its values that does not fit is left out.

        Args:
            state: as `to_dict` gave it, or anything else.
        """
        fitting = {}
        for field in msgspec.structs.fields(self):
            if field.name in state:
                try:
                    fitting[field.name] = msgspec.convert(state[field.name], field.type)
                except msgspec.ValidationError:
                    continue
        return msgspec.structs.replace(self, **fitting)
