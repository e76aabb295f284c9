"""What the run was quoted, as the orchestrator tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quoted:
    """The three sums that were approved, in USD.

    Attributes:
        p50: as likely more as less.
        p90: nine times in ten no more.
        most: the batch is stopped before it costs more.
    """

    p50: float
    p90: float
    most: float
