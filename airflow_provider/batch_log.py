"""What a batch tells while it runs, as lines of the task's log that a person could read aloud."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import counted, shown_duration, shown_usd

if TYPE_CHECKING:
    from octa_provider.batch.events import BatchEvent, BatchProgress

__all__ = ["BatchLog"]

#: How far the batch is comes so often at most, and only when it has changed.
TELL_EVERY_S = 10.0
_WORDS = {
    "waiting": "Waiting for a machine",
    "machine rented": "Rented {machine}",
    "machine refused": "{machine} could not be rented",
    "machine ready": "{machine} is ready",
    "machine ended": "Let go of {machine}",
    "frame refused": "Frame {frame} of {machine} is not whole, and is rendered again",
    "frame given up": "Frame {frame} is given up",
    "scene warning": "The scene may not be as you want it",
    "scene error": "The scene can't be rendered",
}
_WARNINGS = frozenset({"machine refused", "frame refused", "frame given up", "scene warning", "scene error"})


class BatchLog:
    """Writes the lines.

    Args:
        log: the task's logger.
        planned_usd: what the batch was said to cost, in USD, where that is known.
        clock: seconds that only grow.
    """

    def __init__(self, log: Any, planned_usd: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._planned_usd = planned_usd
        self._clock = clock
        self._told = ""
        self._told_at = -TELL_EVERY_S

    def event(self, event: BatchEvent) -> None:
        """One thing that has happened."""
        words = _WORDS.get(event.kind)
        if words is not None:
            text = words.format(machine=event.machine, frame=event.frame)
            reason = f": {plain_words(event.reason)}" if event.reason else ""
            tell = self._log.warning if event.kind in _WARNINGS else self._log.info
            tell("%s%s", text[:1].upper() + text[1:], reason)
        elif event.kind == "planned":
            self._log.info("Planned: %s", plain_words(event.reason))
        self._move(event.progress)

    def _move(self, progress: BatchProgress) -> None:
        text, now = self._said(progress), self._clock()
        if text == self._told or now - self._told_at < TELL_EVERY_S:
            return
        self._told, self._told_at = text, now
        self._log.info("%s", text)

    def _said(self, progress: BatchProgress) -> str:
        parts = [f"{progress.done} of {counted(progress.frames, 'frame')} done"]
        if progress.failed:
            parts.append(f"{progress.failed} given up")
        parts.append(f"{counted(progress.machines, 'machine')} rented")
        if self._planned_usd:
            parts.append(f"{shown_usd(progress.spent_usd)} of {shown_usd(self._planned_usd)} USD spent")
        else:
            parts.append(f"{shown_usd(progress.spent_usd)} USD spent")
        if progress.left_s is not None and progress.done < progress.frames:
            parts.append(f"about {shown_duration(progress.left_s)} left")
        return ", ".join(parts)
