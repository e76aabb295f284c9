"""The billing clock, and what a session costs by it: exact integers of wei."""

from __future__ import annotations

import time
from collections.abc import Callable

MS_PER_HOUR = 3_600_000
BYTES_PER_GB = 10**9
#: What a session sends and receives in a second while nobody uses it.
IDLE_TX_BYTES_PER_S = 1200
IDLE_RX_BYTES_PER_S = 5100


def wall_ns() -> int:
    """Unix time in nanoseconds."""
    return time.time_ns()


def charge_wei(price_wei: int, elapsed_ms: int) -> int:
    """The charge for `elapsed_ms` of billing time at `price_wei` an hour, rounded down to the wei."""
    return price_wei * max(0, elapsed_ms) // MS_PER_HOUR


def traffic_wei(price_wei: int, moved_bytes: int) -> int:
    """The charge for bytes sent and received at `price_wei` a GB (10^9 bytes), rounded down to the wei."""
    return price_wei * moved_bytes // BYTES_PER_GB


class BillingClock:
    """Billing time: the wall clock, `speed` times as fast, plus whatever a test advanced it by.

    Billing times are only ever subtracted from each other. They carry on from where a former emulator on the same
    state folder left off, so a session that outlives its emulator is billed for the time between.
    """

    def __init__(self, speed: float = 1.0, wall: Callable[[], int] = wall_ns) -> None:
        self.speed = speed
        self.advanced_ms = 0
        self._wall = wall
        self._wall_anchor_ns = wall()
        self._billing_anchor_ms = self._wall_anchor_ns // 1_000_000

    def now_ms(self) -> int:
        """The billing time in milliseconds."""
        elapsed_ns = self._wall() - self._wall_anchor_ns
        return self._billing_anchor_ms + int(elapsed_ns * self.speed) // 1_000_000

    def advance(self, seconds: float) -> None:
        """Let `seconds` of billing time pass at once. Running sessions become that much older."""
        self._billing_anchor_ms += round(seconds * 1000)
        self.advanced_ms += round(seconds * 1000)

    def snapshot(self) -> dict[str, int | float]:
        """What `resume` needs to carry on."""
        return {
            "wall_ns": self._wall_anchor_ns,
            "billing_ms": self._billing_anchor_ms,
            "speed": self.speed,
            "advanced_ms": self.advanced_ms,
        }

    def resume(self, snapshot: dict[str, int | float]) -> None:
        """Carry on from a former clock: its speed counts until now, ours from now on."""
        now_ns = self._wall()
        elapsed_ns = now_ns - int(snapshot["wall_ns"])
        self._billing_anchor_ms = int(snapshot["billing_ms"]) + int(elapsed_ns * snapshot["speed"]) // 1_000_000
        self._wall_anchor_ns = now_ns
        self.advanced_ms = int(snapshot["advanced_ms"])
