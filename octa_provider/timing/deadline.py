"""A moment on a clock, until which something is tried."""

from __future__ import annotations

import math

from octa_provider.errors import (
    OctaConfigError,
)
from octa_provider.timing.clock import Clock


class Deadline:
    """A moment on a clock.

    Args:
        clock: where the time comes from.
        seconds: from now.

    Raises:
        OctaConfigError: it is NaN, which never passes.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        if math.isnan(seconds):
            raise OctaConfigError("a deadline must be a number of seconds, not nan")
        self._clock = clock
        self._at = clock.monotonic() + seconds

    @property
    def clock(self) -> Clock:
        """Where its time comes from."""
        return self._clock

    @property
    def left_s(self) -> float:
        """Seconds until the moment; negative when it has passed."""
        return self._at - self._clock.monotonic()

    @property
    def passed(self) -> bool:
        """True from the moment on."""
        return self.left_s <= 0

    def earlier(self, seconds: float) -> Deadline:
        """This deadline, or one `seconds` from now if that comes first."""
        return Deadline(self._clock, min(seconds, self.left_s))

    def pause(self, seconds: float) -> None:
        """Sleep for `seconds`, but not past the moment."""
        self._clock.sleep(max(0.0, min(seconds, self.left_s)))
