"""The threads of a worker, in which it does what blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from octa_provider.errors import OctaCancelledError

__all__ = ["WorkerThreads"]

T = TypeVar("T")


class WorkerThreads:
    """Runs blocking work for coroutines, each in a thread of anyio's; a worker that is shut down leaves it.

    Args:
        count: how many go on at the same time, but for those that wait.
    """

    def __init__(self, count: int) -> None:
        self._limiter = anyio.CapacityLimiter(count)

    async def __call__(self, work: Callable[[], T], /, *, waits: bool = False) -> T:
        """Run it.

        Args:
            work: what to run.
            waits: it mostly waits: it has a thread beside those of all others, so that, however many wait, those
                that run are looked at.
        """
        limiter = anyio.CapacityLimiter(1) if waits else self._limiter
        try:
            return await anyio.to_thread.run_sync(work, limiter=limiter)
        except OctaCancelledError:
            # Where the worker is being shut down, that is why, and no failure of the flow run's.
            await anyio.lowlevel.checkpoint_if_cancelled()
            raise
