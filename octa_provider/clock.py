"""Time as the core sees it: one object that tests can replace, so that no test sleeps for real."""

from __future__ import annotations

import time
from datetime import datetime, timezone


class Clock:
    """The system's clock. Subclass it to hold time still: everything that waits in this package goes through one.

    Example:
        >>> class Held(Clock):
        ...     now = 0.0
        ...     def monotonic(self): return self.now
        ...     def sleep(self, seconds): self.now += seconds
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

    def now(self) -> datetime:
        """The present as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.time(), tz=timezone.utc)


SYSTEM_CLOCK = Clock()
