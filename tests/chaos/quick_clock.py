"""A clock whose sleeps take a fraction of their time, so that the product's own waits can be kept in the campaign."""

from __future__ import annotations

import time

from octa_provider.clock import Clock


class QuickClock(Clock):
    """Sleeping takes `1 / speed` of the seconds, and moves the clock by all of them; all else takes its real time.

    Args:
        speed: how many seconds of sleep pass in a real one.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._skipped_s = 0.0

    def monotonic(self) -> float:
        """Real seconds, and those that were skipped."""
        return time.monotonic() + self._skipped_s

    def time(self) -> float:
        """Unix time, and the seconds that were skipped."""
        return time.time() + self._skipped_s

    def sleep(self, seconds: float) -> None:
        """Sleep for a fraction of `seconds`."""
        if seconds > 0:
            real_s = seconds / self._speed
            time.sleep(real_s)
            self._skipped_s += seconds - real_s
