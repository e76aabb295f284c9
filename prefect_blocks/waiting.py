"""Waiting for a session over the core's watcher: the rules once, and a shell each for threads and coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaCancelledError, OctaWaitTimeoutError
from octa_provider.models import SessionPhase
from octa_provider.rental.signals import cleaned_up_by
from octa_provider.rental.wait import refuse_failed, refuse_over_budget
from octa_provider.timing.deadline import Deadline
from prefect_blocks.in_thread import in_thread

if TYPE_CHECKING:
    from octa_provider import Rental
    from octa_provider.models import Session
    from octa_provider.watch.watcher import Watcher

__all__ = ["until_ready", "until_ready_async"]

#: A wait in a thread looks up so often whether its run is being ended.
SLICE_S = 2.0


def until_ready(watcher: Watcher, rental: Rental, deadline_s: float, is_cancelled: Callable[[], bool]) -> Session:
    """Wait in this thread; see `prefect_blocks.tasks.wait_until_ready`."""
    deadline = Deadline(rental.api.clock, deadline_s)

    def clean_up(error: BaseException | None) -> None:
        # Of another error the next try waits for the same session; else the flow run is being ended, by a signal.
        ends = isinstance(error, OctaCancelledError | OctaWaitTimeoutError) or not isinstance(error, Exception | None)
        if error is not None and ends:
            rental.stop_after(error)

    with cleaned_up_by(clean_up):
        while True:
            if is_cancelled():
                raise OctaCancelledError(f"waiting for session {rental.uuid} was cancelled; it was stopped")
            try:
                session = watcher.wait(rental.uuid, _worth_a_look(rental), min(SLICE_S, max(deadline.left_s, 0)))
            except OctaWaitTimeoutError:
                if deadline.passed:
                    raise _too_late(rental, deadline_s) from None
                continue
            if _is_ready(rental, session):
                return session


async def until_ready_async(watcher: Watcher, rental: Rental, deadline_s: float) -> Session:
    """Wait in this coroutine, without a thread of its own: a thousand of them cost one list call per interval."""
    deadline = Deadline(rental.api.clock, deadline_s)
    try:
        while True:
            try:
                session = await watcher.wait_async(rental.uuid, _worth_a_look(rental), max(deadline.left_s, 0))
            except OctaWaitTimeoutError:
                await in_thread(rental.stop)
                raise _too_late(rental, deadline_s) from None
            if session.phase is SessionPhase.READY and not rental.is_capped:
                return session
            if await in_thread(_is_ready, rental, session):
                return session
    except asyncio.CancelledError:
        await in_thread(rental.stop)
        raise


def _worth_a_look(rental: Rental) -> Callable[[Session], bool]:
    """For the poller's thread, so quick: whether the waiter should judge the session itself."""
    return lambda session: rental.is_capped or session.phase is not SessionPhase.STARTING


def _is_ready(rental: Rental, session: Session) -> bool:
    refuse_failed(rental.api, rental, session)
    refuse_over_budget(rental.api, rental, session)
    return session.phase is SessionPhase.READY


def _too_late(rental: Rental, deadline_s: float) -> OctaWaitTimeoutError:
    return OctaWaitTimeoutError(
        f"session {rental.uuid} on node {rental.node_id} was not ready within {deadline_s:g} s; it was stopped",
        uuid=rental.uuid,
    )
