"""What a run that waits for a session does when the wait ends otherwise: it stops the session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaCancelledError, OctaWaitTimeoutError
from octa_provider.rental.signals import cleaned_up_by
from octa_provider.watch.ready import wait_until_ready, wait_until_ready_async
from prefect_blocks.in_thread import in_thread

if TYPE_CHECKING:
    from octa_provider import Rental
    from octa_provider.models import Session
    from octa_provider.watch.watcher import Watcher

__all__ = ["until_ready", "until_ready_async"]


def until_ready(watcher: Watcher, rental: Rental, deadline_s: float, is_cancelled: Callable[[], bool]) -> Session:
    """Wait in this thread; see `prefect_blocks.tasks.wait_until_ready`."""

    def clean_up(error: BaseException | None) -> None:
        # Of another error the next try waits for the same session; else the flow run is being ended, by a signal.
        ends = isinstance(error, OctaCancelledError | OctaWaitTimeoutError) or not isinstance(error, Exception | None)
        if error is not None and ends:
            rental.stop_after(error)

    with cleaned_up_by(clean_up):
        session = wait_until_ready(watcher, rental, deadline_s, is_cancelled)
        if session is not None:
            return session
        if is_cancelled():
            raise OctaCancelledError(f"waiting for session {rental.uuid} was cancelled; it was stopped")
        raise _too_late(rental, deadline_s)


async def until_ready_async(watcher: Watcher, rental: Rental, deadline_s: float) -> Session:
    """Wait in this coroutine, without a thread of its own."""
    try:
        session = await wait_until_ready_async(watcher, rental, deadline_s, in_thread)
        if session is not None:
            return session
        await in_thread(rental.stop)
        raise _too_late(rental, deadline_s)
    except asyncio.CancelledError:
        await in_thread(rental.stop)
        raise


def _too_late(rental: Rental, deadline_s: float) -> OctaWaitTimeoutError:
    return OctaWaitTimeoutError(
        f"session {rental.uuid} on node {rental.node_id} was not ready within {deadline_s:g} s; it was stopped",
        uuid=rental.uuid,
    )
