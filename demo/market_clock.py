"""The time of the demo's market, on which minutes are shown in seconds."""

from __future__ import annotations

import time

from octa_provider.timing.clock import SYSTEM_CLOCK, Clock

#: Seconds on the market in one of this computer's.
SPEED = 10.0


class MarketClock(Clock):
    """Everything takes a tenth of its time; each process of the demo has the same."""

    #: When the market opened, in Unix time.
    opened_s: float

    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    def time(self) -> float:
        return self.opened_s + (time.time() - self.opened_s) * SPEED

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds / SPEED)


def go_by_market_time(opened_s: float) -> None:
    """From here on `octa_provider` goes by the market's time in this process.

    Args:
        opened_s: when the market opened, in Unix time; the same for all processes.
    """
    # The one clock of all that was given no other, which is held by many already: it stays the same object.
    SYSTEM_CLOCK.__class__ = MarketClock
    vars(SYSTEM_CLOCK)["opened_s"] = opened_s


def closing_lines(opened_s: float) -> str:
    """What is added to a pipeline's file, so that whatever process reads it goes by the market's time.

    Args:
        opened_s: as above.
    """
    return (
        "\n\n# Added by the demo: its market's time runs faster.\n"
        f"__import__('demo.market_clock', fromlist=['']).go_by_market_time({opened_s!r})\n"
    )
