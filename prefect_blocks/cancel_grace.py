"""How long a process has to end itself once its flow run is cancelled or over, before its machine is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

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

    def is_over(self, state: State | None, now: float) -> bool:
        """Whether to stop the machine.

        Args:
            state: the flow run's state; None when the flow run was deleted.
            now: seconds on a clock that only grows.
        """
        if state is None:
            return True
        if not (state.is_cancelling() or state.is_final()):
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self.grace_s
