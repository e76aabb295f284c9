"""Time as the core sees it: one object that tests can replace, so that no test sleeps for real."""

from __future__ import annotations

import time


class Clock:
    """The system's clock. Subclass it to hold time still: everything that waits in this package goes through one.

    Example:
        >>> class Held(Clock):
        ...     at_s = 0.0
        ...     def monotonic(self): return self.at_s
        ...     def sleep(self, seconds): self.at_s += seconds
    """

    def monotonic(self) -> float:
        """Seconds that only ever grow: for deadlines inside one process."""
        return time.monotonic()

    def time(self) -> float:
        """Unix time in seconds: for deadlines that travel between processes."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`; 0 or less returns at once."""
        if seconds > 0:
            time.sleep(seconds)

    def steady_time(self) -> float:
        """Unix time in seconds as it was when first asked for, and what has passed since: for deadlines that travel.

        A wall clock that is set forward or back while this process runs does not move it.
        """
        if self._began is None:
            self._began = self.time() - self.monotonic()
        return self._began + self.monotonic()

    _began: float | None = None


SYSTEM_CLOCK = Clock()
