"""A clock for tests, so that none of them sleeps for real."""

from __future__ import annotations

from octa_provider import Clock


class HeldClock(Clock):
    """Time that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += max(0.0, seconds)
