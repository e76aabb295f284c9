"""How a batch ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["BatchOutcome", "BatchResult"]


class BatchOutcome(str, Enum):
    """How a batch ended.

    Attributes:
        WHOLE: every frame is there and whole.
        LATE: the same, after the deadline.
        INCOMPLETE: frames are missing; which and why is in `failed`.
        OVER_BUDGET: the budget was reached first, or the machines have run for as long as they may.
        SCENE_ERROR: the scene can't be rendered, wherever.
        CANCELLED: whoever runs it took it back.
        PAUSED: nothing is to be decided for a while: its machines render on, and bill, or there is none, and it waits
            for one (`wait_for_machine_s`). Run it again in time.
    """

    WHOLE = "whole"
    LATE = "late"
    INCOMPLETE = "incomplete"
    OVER_BUDGET = "over budget"
    SCENE_ERROR = "scene error"
    CANCELLED = "cancelled"
    PAUSED = "paused"


@dataclass(frozen=True)
class BatchResult:
    """How a batch ended; an incomplete one is a result, no error.

    Attributes:
        outcome: how.
        output: the folder.
        frames: how many were asked for.
        done: how many are accepted.
        rendered: how many of them this run rendered.
        failed: frames that were given up, by number, with the reason.
        missing: the frames that are not there, as a range such as `17,90-95`; empty when none is.
        message: what a person should know, as one or more sentences; empty when all is well.
        cost_wei: what all machines of this batch were charged, earlier runs included, in wei; None where the API does
            not tell of one of them.
        cost_usd: the same in USD, for display.
        planned_cost_usd: what was planned, the middle and nine times in ten, in USD.
        seconds: how long this run took.
        machines: how many were rented in this run.
        wake_after_s: of a paused batch, seconds after which it is to be run again, at the latest; 0 for all others.
        paid_for_s: of a paused batch, seconds after which its machines have cost or run all that they may, and must be
            stopped if nobody has run it again; None where there is no cap, and for all others.
        sessions: the sessions that a paused batch has left running; empty where it waits for a machine: run it again as
            soon as one is on offer; and for all others.
    """

    outcome: BatchOutcome
    output: str
    frames: int
    done: int
    rendered: int = 0
    failed: dict[int, str] | None = None
    missing: str = ""
    message: str = ""
    cost_wei: int | None = None
    cost_usd: float | None = None
    planned_cost_usd: tuple[float, float] | None = None
    seconds: float = 0.0
    machines: int = 0
    wake_after_s: float = 0.0
    paid_for_s: float | None = None
    sessions: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every frame is there and whole."""
        return self.outcome in (BatchOutcome.WHOLE, BatchOutcome.LATE)

    def to_dict(self) -> dict[str, Any]:
        """A JSON value of it, without secrets."""
        value = {name: getattr(self, name) for name in self.__dataclass_fields__}
        value["outcome"] = self.outcome.value
        value["failed"] = {str(number): why for number, why in (self.failed or {}).items()}
        return value
