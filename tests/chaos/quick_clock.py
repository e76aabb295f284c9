"""A clock whose sleeps take a fraction of their time, so that the product's own waits can be kept in the campaign."""

from __future__ import annotations

import time
from collections.abc import Sequence

from octa_provider.timing.clock import Clock


class QuickClock(Clock):
    """Sleeping takes `1 / speed` of the seconds, and moves the clock by all of them; all else takes its real time.

    Args:
        speed: how many seconds of sleep pass in a real one.
        jumps: how the wall clock is set while this process runs: after so many seconds of it, by so many seconds.
    """

    def __init__(self, speed: float, jumps: Sequence[Sequence[float]] = ()) -> None:
        self._speed = speed
        self._skipped_s = 0.0
        self._jumps = [tuple(jump) for jump in jumps]
        self._first_s = time.monotonic()

    def monotonic(self) -> float:
        """Real seconds, and those that were skipped."""
        return time.monotonic() + self._skipped_s

    def jump(self, by_s: float) -> None:
        """Somebody sets the wall clock now, by so many seconds."""
        self._jumps.append((0.0, by_s))

    @property
    def boot(self) -> str:
        """As the real seconds are counted."""
        return Clock().boot

    def time(self) -> float:
        """Unix time, the seconds that were skipped, and what the wall clock was set by."""
        lived_s = self.monotonic() - self._first_s
        return time.time() + self._skipped_s + sum(by_s for after_s, by_s in self._jumps if lived_s >= after_s)

    def sleep(self, seconds: float) -> None:
        """Sleep for a fraction of `seconds`."""
        if seconds > 0:
            real_s = seconds / self._speed
            time.sleep(real_s)
            self._skipped_s += seconds - real_s
