"""What a job tells while it runs: one small value for each thing that happens. This file imports no HTTP library."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeAlias

from octa_provider.errors import OctaConfigError
from octa_provider.job.result import JobOutcome

__all__ = ["JOB_EVENT_KINDS", "JobEvent", "OnEvent", "checked_on_event"]

#: In the order in which they come; `line` and `progress` as often as there is one.
JOB_EVENT_KINDS = ("started", "ready", "line", "progress", "ended", "stopped")


@dataclass(frozen=True)
class JobEvent:
    """One thing that happened to a job. What is not known yet, or never, is None.

    Attributes:
        kind: one of `JOB_EVENT_KINDS`: `started` a machine is rented, or carried on with; `ready` it is up; `line` the
            command has printed one; `progress` a line has told that it is further; `ended` its outcome is settled, and
            what it made is here; `stopped` the machine was seen gone.
        key: the rental key.
        uuid: the session.
        node_id: the machine.
        when: the time of telling, in UTC.
        adopted: whether an earlier try began it, which this one carries on with.
        price_usd: USD per hour.
        line: the line, of `line` alone, control characters neutralised. It is a stranger's text.
        progress: how far the job is, 0 to 1.
        outcome: how it ended; None of a job that was cut short.
        exit_code: the command's.
        reason: why, in one sentence; empty where there is nothing to say.
        cost_wei: what this session has cost, in wei, exact; of `stopped` alone.
        cost_usd: the same in USD, for display.
        duration_s: seconds that this session ran; of `stopped` alone.
    """

    kind: str
    key: str
    uuid: str
    node_id: int | None
    when: datetime
    adopted: bool = False
    price_usd: float | None = None
    line: str | None = None
    progress: float | None = None
    outcome: JobOutcome | None = None
    exit_code: int | None = None
    reason: str = ""
    cost_wei: int | None = None
    cost_usd: float | None = None
    duration_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The event as a small JSON value, without secrets."""
        outcome = None if self.outcome is None else self.outcome.value
        return asdict(self) | {"when": self.when.isoformat(), "outcome": outcome}


OnEvent: TypeAlias = Callable[[JobEvent], object]


def checked_on_event(on_event: OnEvent) -> OnEvent:
    """A callback that can be told.

    Args:
        on_event: as it was given.

    Raises:
        OctaConfigError: it can't be called, or nobody would await it.
    """
    if not callable(on_event):
        raise OctaConfigError(f"on_event must be a function that takes a JobEvent, not {type(on_event).__name__}")
    if inspect.iscoroutinefunction(on_event):
        raise OctaConfigError("on_event must be a plain function: nobody awaits what a coroutine function returns")
    return on_event
