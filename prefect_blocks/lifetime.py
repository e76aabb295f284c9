"""How long what was rented here may live: as long as the flow run, or the task run, that rented it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prefect.context import FlowRunContext, TaskRunContext

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

__all__ = ["Lifetime"]

#: So long after one try of a run the next try, in the same process, has to ask for the same machine again.
NEXT_TRY_S = 10.0


class Lifetime:
    """Whether the run that something was rented in is over, asked in its own process and of nobody else.

    A run whose process dies tells nothing here: a retry, the hook or the reaper finds what it left.

    Args:
        owner: the context of the run, as Prefect sets it for each try; None for what no run's end ends.
    """

    def __init__(self, owner: FlowRunContext | TaskRunContext | None) -> None:
        self._owner = owner
        self._left_at: float | None = None

    @classmethod
    def of_this_run(cls) -> Lifetime:
        """As long as the flow run that this is asked in; else the task run; outside both without an end.

        In a process of a task runner's own it is the task run: the flow run's end is not seen there.
        """
        flow = FlowRunContext.get()
        return cls(flow if flow is not None and flow.flow_run is not None else TaskRunContext.get())

    @classmethod
    def of_this_flow_run(cls) -> Lifetime:
        """As long as the flow run that this is asked in: for what a task hands on, whose own end does not count."""
        flow = FlowRunContext.get()
        return cls(flow if flow is not None and flow.flow_run is not None and not flow.detached else None)

    @property
    def has_end(self) -> bool:
        """Whether there is a run whose end can be seen here."""
        return self._owner is not None

    def is_over(self) -> bool:
        """True once the run has ended, however it ended; at once when it has, and after a while when it may go on."""
        # Not part of Prefect's public interface, so it may be missing: then only the end of the process ends it.
        if self._owner is None or getattr(self._owner, "_token", self) is not None:
            return False
        state = self._state()
        if state is not None and state.is_final():
            return True
        # Its next try is about to begin, or its end can't be told since Prefect's server is away.
        if self._left_at is None:
            self._left_at = time.monotonic()
        return time.monotonic() - self._left_at >= NEXT_TRY_S

    def _state(self) -> State | None:
        if isinstance(self._owner, FlowRunContext):
            return None if self._owner.flow_run is None else self._owner.flow_run.state
        return None if self._owner is None else self._owner.task_run.state
