"""What faults do to one start."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NO_FAULTS", "StartFaults"]


@dataclass(frozen=True)
class StartFaults:
    """What faults do to one start.

    Attributes:
        price_factor: how many times as much its node asks from now on.
        never_ready: it never leaves its startup phase.
        slow_s: it comes up so many seconds later.
        dies_after_s: its node dies after so many seconds.
        hidden_s: the list shows it only after so many seconds.
    """

    price_factor: float = 1
    never_ready: bool = False
    slow_s: float = 0.0
    dies_after_s: float | None = None
    hidden_s: float = 0.0


NO_FAULTS = StartFaults()
