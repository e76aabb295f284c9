"""What the plan said that a frame, and a machine beside its frames, would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["PlannedCost"]


@dataclass(frozen=True)
class PlannedCost:
    """The plan's middle, divided.

    Attributes:
        frame_wei: of each frame, in wei; None where nothing was planned.
        overhead_wei: of each machine beside its frames: starting it and sending it the scene.
    """

    frame_wei: int | None = None
    overhead_wei: int | None = None

    @classmethod
    def of(cls, plan: Mapping[str, Any] | None) -> PlannedCost:
        """Divide a plan.

        Args:
            plan: as the journal has it.
        """
        try:
            if plan is None:
                return cls()
            cost = int(plan["cost_p50_wei"])
            frames = sum(int(one["frames"]) for one in plan["machines"])
            aside = int(cost * min(1.0, plan["startup_share"] + plan["transfer_share"]))
            return cls((cost - aside) // frames, aside // len(plan["machines"]))
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return cls()
