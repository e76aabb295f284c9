"""What a batch tells while it runs: one small value for each thing that happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from octa_provider.text.quantities import counted, shown_duration, shown_usd

__all__ = ["EVENT_KINDS", "BatchEvent", "BatchProgress", "OnEvent"]

EVENT_KINDS = (
    "started",
    "planned",
    "waiting",
    "machine rented",
    "machine refused",
    "machine ready",
    "machine ended",
    "frame accepted",
    "frame refused",
    "frame given up",
    "scene warning",
    "scene error",
    "paused",
    "progress",
    "ended",
)


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is.

    Attributes:
        frames: how many were asked for.
        done: how many are accepted, those of earlier runs included.
        failed: how many were given up.
        machines: how many are rented now.
        rendering: how many of them render.
        spent_wei: what this run has cost until now, in wei.
        spent_usd: the same in USD, for display.
        elapsed_s: seconds since this run began.
        left_s: seconds that it is expected to take still; None while nothing tells.
    """

    frames: int
    done: int
    failed: int
    machines: int
    rendering: int
    spent_wei: int
    spent_usd: float
    elapsed_s: float
    left_s: float | None = None

    def words(self, expected: str = "") -> str:
        """How far it is, on one line.

        Args:
            expected: what follows the amount that is spent, such as ` of 0.50`.
        """
        parts = [f"{self.done} of {counted(self.frames, 'frame')}"]
        if self.failed:
            parts.append(f"{self.failed} given up")
        parts.append(counted(self.machines, "machine"))
        parts.append(f"{shown_usd(self.spent_usd)}{expected} USD")
        if self.left_s is not None and self.done < self.frames:
            parts.append(f"{shown_duration(self.left_s)} left")
        return ", ".join(parts)


@dataclass(frozen=True)
class BatchEvent:
    """One thing that happened.

    Attributes:
        kind: one of `EVENT_KINDS`.
        progress: how far the batch is now.
        frame: its number, where it is about one.
        node_id: the machine, where it is about one.
        slot: the machine's number in the batch.
        uuid: its session.
        reason: why, as one clause; for `ended` the outcome.
    """

    kind: str
    progress: BatchProgress
    frame: int | None = None
    node_id: int | None = None
    slot: int | None = None
    uuid: str | None = None
    reason: str = ""

    @property
    def machine(self) -> str:
        """`node 118 (m3)`: what the marketplace calls the machine, and its number in the batch."""
        node = "a machine" if self.node_id is None else f"node {self.node_id}"
        return node if self.slot is None else f"{node} (m{self.slot})"

    def to_dict(self) -> dict[str, Any]:
        """A small JSON value of it, without secrets."""
        return asdict(self)


OnEvent: TypeAlias = Callable[[BatchEvent], object]
