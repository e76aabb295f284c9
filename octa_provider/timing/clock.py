"""Time as the core sees it: one object that tests can replace, so that no test sleeps for real."""

from __future__ import annotations

import secrets
import time
from datetime import datetime, timezone
from pathlib import Path


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

    def now(self) -> datetime:
        """The present as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.time(), tz=timezone.utc)

    def steady_time(self) -> float:
        """Unix time in seconds as it was when first asked for, and what has passed since: for deadlines that travel.

        A wall clock that is set forward or back while this process runs does not move it.
        """
        if self._began is None:
            self._began = self.time() - self.monotonic()
        return self._began + self.monotonic()

    @property
    def identity(self) -> str:
        """Tells this clock of this process from every other: times of two clocks may be hours apart."""
        if self._identity is None:
            self._identity = secrets.token_hex(4)
        return self._identity

    @property
    def boot(self) -> str:
        """Tells since which start of which machine `monotonic` counts: what two processes with the same count can be
        compared, whatever their wall clocks say. Empty where that is not known."""
        # A count of somebody's own, as of a clock that is held still, is no other process's.
        return _boot() if type(self).monotonic is Clock.monotonic else ""

    _began: float | None = None
    _identity: str | None = None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        # Not Linux.
        return ""


SYSTEM_CLOCK = Clock()
