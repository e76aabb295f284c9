"""How far a job is, told from what it prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from octa_provider.errors import OctaConfigError
from octa_provider.render.progress_state import MAX_LINE_CHARS, MOST_STEPS, ProgressState

__all__ = ["ProgressTracker"]

#: A fraction that falls by more than that counts another step.
BEGINS_AGAIN = 0.2

_PERCENT = re.compile(r"(?<![\w.,-])(?P<percent>\d{1,3}(?:\.\d{1,9})?)\s?%", re.ASCII)
# Not a path, a date or a ratio of ratios: 1/2/3, a/1/2, 1.5/3.
_COUNT = re.compile(r"(?<![\w./:-])(?P<done>\d{1,12})\s?/\s?(?P<total>\d{1,12})(?![\w/:-])(?!\.\d)", re.ASCII)

# Blender 5 writes when and what in front of its lines: `00:05.489  render           | Saved: '...'`.
_BLENDER_5 = re.compile(r"[0-9:.]{5,20} {1,8}[\w.:]{1,60} {0,60}(?:[A-Z]{1,9} {1,4})?\| ?", re.ASCII)
_FRAME = re.compile(r"\bFra:\s?(-?\d{1,9})\b", re.ASCII)
_SAVED = re.compile(r"^\s*(?:Saved:\s*'(?P<path>[^']{0,4096})|Append frame -?\d)", re.ASCII)
_NUMBERS = re.compile(r"\d{1,9}", re.ASCII)
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
        total: how many steps there are; for Blender the number of frames. What a tool counts up to another end, such as
            100 %, is how far one step is, and begins again for the next one.

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
        self._blender = tool == "blender"
        self._patterns = (_PERCENT, _COUNT) if tool is None or self._blender else (_custom(tool, total),)
        self._seen = ProgressState()

    @property
    def total(self) -> int | None:
        """How many steps there are, if that was given."""
        return self._total

    @property
    def counts_frames(self) -> bool:
        """Whether it goes by Blender's frames, of which it can't tell the number itself."""
        return self._blender

    @property
    def fraction(self) -> float | None:
        """How far it is, 0 to 1; None when no line has told."""
        return self._seen.fraction

    def feed(self, line: str) -> float | None:
        """Look at one line.

        Args:
            line: without its end.

        Returns:
            The new fraction if the line moved it on; else None.
        """
        line = line[:MAX_LINE_CHARS]
        begin, self._seen.unfinished = self._looked_at(line), ""
        return self._moved(self._frames(line) if self._blender else self._matched(line, begin))

    def feed_unfinished(self, text: str) -> float | None:
        """Look at how a line stands that has not ended, such as a progress bar; its end comes by `feed`.

        Args:
            text: the line so far, or the state of it that was drawn last.

        Returns:
            The new fraction if it moved on; else None.
        """
        text = text[:MAX_LINE_CHARS]
        begin, self._seen.unfinished = self._looked_at(text), text
        return self._moved(self._frames(text, is_whole=False) if self._blender else self._matched(text, begin))

    def to_dict(self) -> dict[str, Any]:
        """What it has seen as a small JSON value, for another process to carry on; see `restore`."""
        return self._seen.to_dict()

    def restore(self, state: Mapping[str, Any]) -> ProgressTracker:
        """Carry on from what `to_dict` gave; what does not fit is left out.

        Args:
            state: as `to_dict` gave it, perhaps in another process, or anything else.
        """
        self._seen = self._seen.with_what_fits(state)
        return self

    def _looked_at(self, text: str) -> int:
        """How much of it was looked at before the line went on: what it says is not said again."""
        return len(self._seen.unfinished) if text.startswith(self._seen.unfinished) else 0

    def _moved(self, told: float | None) -> float | None:
        if told is None or (self._seen.fraction is not None and told <= self._seen.fraction):
            return None
        self._seen.fraction = told
        return told

    def _matched(self, line: str, begin: int) -> float | None:
        """What the last match of the first pattern that makes sense says; those that end before `begin` are old."""
        for pattern in self._patterns:
            if pattern is _COUNT and self._is_of_a_step(line):
                continue
            told = [
                (fraction, match)
                for match in pattern.finditer(line)
                if match.end() > begin and (fraction := _fraction(match, self._total)) is not None
            ]
            if not told:
                continue
            self._seen.in_percent = self._seen.in_percent or pattern is _PERCENT
            if self._total is None or _counts_up_to(self._total, told[-1][1]) or self._is_counted_in(line):
                return told[-1][0]
            return self._in_steps([fraction for fraction, _ in told], self._total)
        return None

    def _is_of_a_step(self, line: str) -> bool:
        """Whether a count means something else, since each step comes in percent: such as `Max Level: 5/5`."""
        if not self._seen.in_percent or self._total is None:
            return False
        # Unless the line has a percentage too, that was looked at a moment before, and is of all.
        return not (_PERCENT.search(line) and self._is_counted_in(line))

    def _is_counted_in(self, line: str) -> bool:
        """Whether a line counts up to the total in so many words, as `12% 3/25`: then its percentage is of all."""
        if self._total is None or _COUNT not in self._patterns:
            return False
        return any(_counts_up_to(self._total, match) for match in _COUNT.finditer(line))

    def _in_steps(self, told: list[float], total: int) -> float:
        """How far all of it is, when each step counts up to its own end."""
        for fraction in told:
            if fraction < self._seen.of_step - BEGINS_AGAIN:
                self._seen.steps_done = min(self._seen.steps_done + 1, MOST_STEPS)
                self._seen.of_step = 0.0
            self._seen.of_step = max(self._seen.of_step, fraction)
        return min(1.0, (self._seen.steps_done + self._seen.of_step) / total)

    def _frames(self, line: str, *, is_whole: bool = True) -> float | None:
        """Frames that are done, and how far the present one is.

        A frame is done when it is saved, or when another one begins; several files of one frame count once. Blender 5
        says of a frame only what it saves: files that have the same numbers in their names are of one frame.
        """
        part = 0.0
        if prefix := _BLENDER_5.match(line):
            line = line[prefix.end() :]
        if found := _FRAME.search(line):
            frame = int(found[1])
            if frame != self._seen.frame:
                if self._seen.frame is not None and not self._seen.frame_saved:
                    self._seen.frames_done += 1
                self._seen.frame, self._seen.frame_saved = frame, False
            samples = _PART_OF_FRAME.search(line)
            if samples and not self._seen.frame_saved:
                part = _fraction(samples, None) or 0.0
        elif is_whole and (saved := _SAVED.search(line)):
            seen, numbers = self._seen, _numbers(saved["path"])
            if not (seen.frame_saved if seen.frame is not None else numbers and numbers == seen.saved_as):
                seen.frames_done += 1
            seen.frame_saved, seen.saved_as = seen.frame is not None, numbers
        else:
            return None
        return None if self._total is None else min(1.0, (self._seen.frames_done + part) / self._total)


def _numbers(path: str | None) -> str | None:
    """The numbers in a file's path, the frame's among them, but for its ending; None when it has none."""
    path = path or ""
    return "-".join(_NUMBERS.findall(path.rpartition(".")[0] or path)) or None


def _counts_up_to(total: int, match: re.Match[str]) -> bool:
    """Whether it counts up to `total`, rather than to an end of its own, as each of several steps does."""
    named = match.groupdict()
    end = named.get("total")
    return named.get("percent") is None and (end is None or end.lstrip("0") == str(total))


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
