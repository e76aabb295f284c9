"""How far a job is, told from what it prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from octa_provider.errors import OctaConfigError

__all__ = ["ProgressTracker"]

# A pattern of a user's is run on every line; this bounds what one line can cost.
MAX_LINE_CHARS = 4096
#: A fraction that falls by more than that counts another step.
BEGINS_AGAIN = 0.2
MOST_STEPS = 1_000_000_000

_PERCENT = re.compile(r"(?<![\w.,-])(?P<percent>\d{1,3}(?:\.\d{1,9})?)\s?%", re.ASCII)
# Not a path, a date or a ratio of ratios: 1/2/3, a/1/2, 1.5/3.
_COUNT = re.compile(r"(?<![\w./:-])(?P<done>\d{1,12})\s?/\s?(?P<total>\d{1,12})(?![\w/:-])(?!\.\d)", re.ASCII)

# Blender 5 writes when and what in front of its lines: `00:05.489  render           | Saved: '...'`.
_BLENDER_5 = re.compile(r"[0-9:.]{5,20} {1,8}[\w.:]{1,60} {0,60}(?:[A-Z]{1,9} {1,4})?\| ?", re.ASCII)
_FRAME = re.compile(r"\bFra:\s?(-?\d{1,9})\b", re.ASCII)
_SAVED = re.compile(r"^\s*Saved:\s*'|^\s*Append frame -?\d", re.ASCII)
# Cycles: "Sample 12/64", "Rendering 12 / 64 samples"; Eevee the latter; tiles "Rendered 3/12 Tiles".
_PART_OF_FRAME = re.compile(
    r"\b(?:Samples?|Path Tracing Sample|Rendering|Rendered)\s+(?P<done>\d{1,9})\s?/\s?(?P<total>\d{1,9})\b", re.ASCII
)


class ProgressTracker:
    """Turns lines into a fraction from 0 to 1 that never falls. Lines that say nothing, or nonsense, change nothing.

    Args:
        tool: `blender` (frames from `Fra:` and `Saved:` lines; needs `total`), None for what many tools print (`NN%`,
            `i/n`), or a regular expression with the named group `percent`, or `done` and `total`, or `done` alone
            when `total` is given.
        total: how many steps there are; for Blender the number of frames. A tool that counts up to 100 % for each of
            several steps begins again for the next one.

    Raises:
        OctaConfigError: the expression is none, or has no such groups; or `total` is not above 0.

    Example:
        >>> tracker = ProgressTracker("blender", total=4)
        >>> tracker.feed("Fra:1 Mem:12.30M (Peak 14.01M) | Time:00:00.52 | Rendering 32 / 64 samples")
        0.125
    """

    def __init__(self, tool: str | None = None, total: int | None = None) -> None:
        if total is not None and (isinstance(total, bool) or not isinstance(total, int) or total < 1):
            raise OctaConfigError(f"total must be a whole number above 0, or left out, not {total!r}")
        self._total = total
        self._fraction: float | None = None
        self._blender = tool == "blender"
        self._patterns = (_PERCENT, _COUNT) if tool is None or self._blender else (_custom(tool, total),)
        self._steps_done = 0
        self._of_step = 0.0
        self._frame: int | None = None
        self._frame_saved = False
        self._frames_done = 0

    @property
    def fraction(self) -> float | None:
        """How far it is, 0 to 1; None when no line has told."""
        return self._fraction

    def feed(self, line: str) -> float | None:
        """Look at one line.

        Returns:
            The new fraction if the line moved it on; else None.
        """
        line = line[:MAX_LINE_CHARS]
        told = self._frames(line) if self._blender else self._matched(line)
        if told is None or (self._fraction is not None and told <= self._fraction):
            return None
        self._fraction = told
        return told

    def to_dict(self) -> dict[str, Any]:
        """What it has seen as a small JSON value, for another process to carry on; see `restore`."""
        return {
            "fraction": self._fraction,
            "frame": self._frame,
            "frame_saved": self._frame_saved,
            "frames_done": self._frames_done,
            "steps_done": self._steps_done,
            "of_step": self._of_step,
        }

    def restore(self, state: Mapping[str, Any]) -> ProgressTracker:
        """Carry on from what `to_dict` gave; what does not fit is left out."""
        fraction, frame, done = state.get("fraction"), state.get("frame"), state.get("frames_done")
        if isinstance(fraction, (int, float)) and 0 <= fraction <= 1:
            self._fraction = float(fraction)
        if isinstance(frame, int):
            self._frame = frame
        if isinstance(done, int) and 0 <= done <= MOST_STEPS:
            self._frames_done = done
        steps, of_step = state.get("steps_done"), state.get("of_step")
        if isinstance(steps, int) and 0 <= steps <= MOST_STEPS:
            self._steps_done = steps
        if isinstance(of_step, (int, float)) and 0 <= of_step <= 1:
            self._of_step = float(of_step)
        self._frame_saved = state.get("frame_saved") is True
        return self

    def _matched(self, line: str) -> float | None:
        """What the last match of the first pattern that makes sense says."""
        for pattern in self._patterns:
            told = [f for f in (_fraction(match, self._total) for match in pattern.finditer(line)) if f is not None]
            if told:
                return self._in_steps(told, pattern)
        return None

    def _in_steps(self, told: list[float], pattern: re.Pattern[str]) -> float:
        """How far all of it is, when each step counts up to its own end."""
        # A pattern of the user's own that counts up to `total` counts all of it.
        if self._total is None or not (pattern is _COUNT or "percent" in pattern.groupindex):
            return told[-1]
        for fraction in told:
            if fraction < self._of_step - BEGINS_AGAIN:
                self._steps_done = min(self._steps_done + 1, MOST_STEPS)
                self._of_step = 0.0
            self._of_step = max(self._of_step, fraction)
        return min(1.0, (self._steps_done + self._of_step) / self._total)

    def _frames(self, line: str) -> float | None:
        """Frames that are done, and how far the present one is.

        A frame is done when it is saved, or when another one begins; several files of one frame count once.
        """
        part = 0.0
        if prefix := _BLENDER_5.match(line):
            line = line[prefix.end() :]
        if found := _FRAME.search(line):
            frame = int(found[1])
            if frame != self._frame:
                if self._frame is not None and not self._frame_saved:
                    self._frames_done += 1
                self._frame, self._frame_saved = frame, False
            samples = _PART_OF_FRAME.search(line)
            if samples and not self._frame_saved:
                part = _fraction(samples, None) or 0.0
        elif _SAVED.search(line):
            if self._frame is None or not self._frame_saved:
                self._frames_done += 1
            self._frame_saved = self._frame is not None
        else:
            return None
        return None if self._total is None else min(1.0, (self._frames_done + part) / self._total)


def _custom(expression: str, total: int | None) -> re.Pattern[str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise OctaConfigError(f"the progress pattern {expression!r} is no regular expression: {error}") from None
    groups = pattern.groupindex
    if "percent" not in groups and not ("done" in groups and ("total" in groups or total is not None)):
        raise OctaConfigError(
            f"the progress pattern {expression!r} must name the group (?P<percent>...), or (?P<done>...) and "
            "(?P<total>...); or be `blender`"
        )
    return pattern


def _fraction(match: re.Match[str], total: int | None) -> float | None:
    """What one match says; None for nonsense."""
    named = match.groupdict()
    try:
        if named.get("percent") is not None:
            fraction = float(named["percent"]) / 100
        else:
            fraction = float(named["done"]) / float(named["total"] if named.get("total") is not None else total or 0)
    except (ValueError, TypeError, KeyError, ZeroDivisionError, OverflowError):
        return None
    return fraction if 0 <= fraction <= 1 else None
