"""A machine's clock beside ours: how long a frame took is told by the machine, which may be wrong about time."""

from __future__ import annotations

from octa_provider.timing.clock import Clock

__all__ = ["MachineClock"]

#: Two readings nearer than this tell nothing of how fast a clock runs.
_TELLING_S = 0.4


class MachineClock:
    """How fast a machine's clock runs beside ours, from each time that it was read.

    Args:
        clock: ours.

    Attributes:
        rate: how many of our seconds one of the machine's is; told from two readings on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None
        self.rate = 1.0

    def read(self, told: float | None) -> None:
        """The machine has told its time.

        Args:
            told: what it told, in seconds; None for nothing.
        """
        if told is None:
            return
        now = self._clock.monotonic()
        if self._first is None or told < self._first[1]:
            # Seen first, or set back.
            self._first = (now, told)
        elif told - self._first[1] >= _TELLING_S:
            self.rate = (now - self._first[0]) / (told - self._first[1])

    def seconds(self, told: float) -> float:
        """Seconds of ours for so many of the machine's.

        Args:
            told: seconds between two of its times.
        """
        return max(0.0, told * self.rate)
