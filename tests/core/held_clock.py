"""A clock for tests, so that none of them sleeps for real."""

from __future__ import annotations

import time
from collections.abc import Callable

from octa_provider import Clock


class HeldClock(Clock):
    """Time that moves only when somebody sleeps, and then at once.

    Args:
        breath_s: real seconds that each sleep takes, where other threads have to get their turn.

    Attributes:
        at_s: seconds slept.
        slept: each sleep, in seconds.
    """

    def __init__(self, breath_s: float = 0.0) -> None:
        self.at_s = 0.0
        self.slept: list[float] = []
        self._breath_s = breath_s
        self._due: list[tuple[float, Callable[[], object]]] = []

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Call `action` when the clock gets there."""
        self._due.append((self.at_s + seconds, action))

    def monotonic(self) -> float:
        """Seconds slept."""
        return self.at_s

    def time(self) -> float:
        """Unix time, and the seconds slept."""
        return time.time() + self.at_s

    def sleep(self, seconds: float) -> None:
        """Let the seconds pass, with what falls due on the way."""
        if self._breath_s:
            time.sleep(self._breath_s)
        self.slept.append(seconds)
        until = self.at_s + max(0.0, seconds)
        for due in sorted((due for due in self._due if due[0] <= until), key=lambda due: due[0]):
            self._due.remove(due)
            self.at_s = max(self.at_s, due[0])
            due[1]()
        self.at_s = max(self.at_s, until)
