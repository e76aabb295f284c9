"""A clock on which time runs faster, so that starts and deadlines of minutes are shown in seconds."""

from __future__ import annotations

import time

from octa_provider import Clock


class FastClock(Clock):
    """Everything takes `1 / speed` of its time.

    Args:
        speed: how many seconds pass in a real one.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._first_s = time.monotonic()
        self._wall_s = time.time()

    def monotonic(self) -> float:
        return (time.monotonic() - self._first_s) * self.speed

    def time(self) -> float:
        return self._wall_s + self.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds / self.speed)
