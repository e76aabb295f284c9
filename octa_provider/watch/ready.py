"""Waiting until a session can be used, over the watcher that all waits of an account share.

A session is judged when the list says that it has come on, or that a cap is reached. That is one rule, with a shell for
threads and one for coroutines. Neither stops what came too late: whoever waits says what that means.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaWaitTimeoutError
from octa_provider.models import SessionPhase
from octa_provider.rental.caps import over_budget
from octa_provider.rental.wait import is_usable
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental import Rental
    from octa_provider.watch.watcher import Watcher

__all__ = ["wait_until_ready", "wait_until_ready_async"]


def wait_until_ready(
    watcher: Watcher, rental: Rental, deadline_s: float, is_cancelled: Callable[[], bool] = lambda: False
) -> Session | None:
    """Wait in this thread until a session can be used.

    Args:
        watcher: the account's; it stops later twins of the session.
        rental: the session; its caps are held.
        deadline_s: seconds to wait for.
        is_cancelled: asked about every second; when it says yes the wait ends.

    Returns:
        The ready session, with its addresses; None when it was too late or the wait was cancelled: it runs on.

    Raises:
        OctaSessionFailedError, OctaBudgetError: it can't be used any more, and was stopped.
        OctaStopError: one of these, and it could not be stopped.
        OctaAuthenticationError, OctaForbiddenError: the key was refused.
    """
    deadline = Deadline(rental.api.clock, deadline_s)
    while not is_cancelled():
        try:
            session = watcher.wait(rental.uuid, _worth_a_look(rental), max(deadline.left_s, 0.0), is_cancelled)
        except OctaWaitTimeoutError:
            if deadline.passed:
                return None
            continue
        if is_usable(rental.api, rental, session):
            return session
    return None


async def wait_until_ready_async(
    watcher: Watcher, rental: Rental, deadline_s: float, in_thread: Callable[..., Awaitable[bool]]
) -> Session | None:
    """As `wait_until_ready`, for a coroutine: a thousand of them take no thread, and cost one list call per interval.

    Args:
        watcher: the account's; it stops later twins of the session.
        rental: the session; its caps are held.
        deadline_s: seconds to wait for.
        in_thread: calls something that blocks, which is what asking why a session failed and stopping it do.

    Returns:
        The ready session, with its addresses; None when it was too late: it runs on.

    Raises:
        OctaSessionFailedError, OctaBudgetError, OctaStopError, OctaAuthenticationError, OctaForbiddenError: as there.
    """
    deadline = Deadline(rental.api.clock, deadline_s)
    while True:
        try:
            session = await watcher.wait_async(rental.uuid, _worth_a_look(rental), max(deadline.left_s, 0.0))
        except OctaWaitTimeoutError:
            return None
        if session.phase is SessionPhase.READY and over_budget(rental, session, rental.api.clock) is None:
            # Nothing is left to ask.
            return session
        if await in_thread(is_usable, rental.api, rental, session):
            return session


def _worth_a_look(rental: Rental) -> Callable[[Session], bool]:
    """For the poller's thread, so quick: whether the waiter should judge the session itself."""
    clock = rental.api.clock
    return lambda session: session.phase is not SessionPhase.STARTING or over_budget(rental, session, clock) is not None
