"""How long a process has to end itself once its flow run is cancelled or over, before its machine is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_blocks.flow_run_state import SeenState

__all__ = ["CancelGrace"]


@dataclass
class CancelGrace:
    """How long the process in the machine may go on when its flow run is cancelled, or has ended.

    Prefect trusts the process to end itself once the flow has begun. One that hangs, or has lost the API, bills on.

    Args:
        grace_s: seconds from when that was first seen.
    """

    grace_s: float
    _since: float | None = None

    def is_over(self, seen: SeenState, now: float) -> bool:
        """Whether to stop the machine.

        Args:
            seen: what was last seen of the flow run; one that was deleted has no grace.
            now: seconds on a clock that only grows.
        """
        if not seen.exists:
            return True
        if not seen.is_to_end:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self.grace_s
