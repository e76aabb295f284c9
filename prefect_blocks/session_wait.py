"""What the task that waits for a session does: a wait that ends otherwise stops the session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from octa_provider.errors import (
    OctaBudgetError,
    OctaCancelledError,
    OctaError,
    OctaSessionFailedError,
    OctaWaitTimeoutError,
)
from octa_provider.rental.clean_up import cleaned_up_by
from octa_provider.rental.json_values import rental_json
from octa_provider.rental.wait import cancelled_error
from prefect_blocks.credentials import OctaCredentials, account_of
from prefect_blocks.events import emit
from prefect_blocks.in_thread import cancellation, run_in_thread
from prefect_blocks.rental_guard import let_go
from prefect_blocks.session_argument import SessionArgument, as_known, rental_of

if TYPE_CHECKING:
    from octa_provider import OctaClient, Rental
    from octa_provider.models import Session
    from octa_provider.watch.watcher import Watcher

__all__ = ["await_until_ready", "wait_until_ready"]

#: With these nobody is to use the session any more.
_ENDS = (OctaCancelledError, OctaWaitTimeoutError, OctaSessionFailedError, OctaBudgetError)


def wait_until_ready(
    session: SessionArgument,
    *,
    deadline_s: float = 900.0,
    poll_s: float = 5.0,
    credentials: OctaCredentials | str | None = None,
) -> dict[str, Any]:
    """Wait until a session can be used. All that wait in a process share one list call per interval.

    Args:
        session: what a start task returned, or a uuid.
        deadline_s: seconds after which it is too late; then the session is stopped.
        poll_s: seconds between two looks.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Returns:
        The session, now also with `urls`, `ssh`, `ssh_web` when known.

    Raises:
        OctaWaitTimeoutError: too late; the session was stopped.
        OctaSessionFailedError: the session ended or failed; its system log's last lines are in the error.
        OctaBudgetError: its cap was reached; it was stopped.
        OctaCancelledError: the run is being ended; the session was stopped.
    """
    from octa_provider.watch.watcher import watcher_for

    with account_of(credentials).get_client() as client, watcher_for(client, poll_s) as watcher:
        rental = rental_of(client, session)
        ready = _until_ready(client, watcher, rental, deadline_s, cancellation())
        emit("ready", as_known(client, rental))
        return rental_json(rental, ready)


async def await_until_ready(
    session: SessionArgument,
    *,
    deadline_s: float = 900.0,
    poll_s: float = 5.0,
    credentials: OctaCredentials | str | None = None,
) -> dict[str, Any]:
    """Wait until a session can be used, for coroutines: the wait is theirs and takes no thread.

    Args:
        session: what a start task returned, or a uuid.
        deadline_s: seconds after which it is too late; then the session is stopped.
        poll_s: seconds between two looks.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Returns:
        The session, now also with `urls`, `ssh`, `ssh_web` when known.

    Raises:
        OctaWaitTimeoutError: too late; the session was stopped.
        OctaSessionFailedError: the session ended or failed; its system log's last lines are in the error.
        OctaBudgetError: its cap was reached; it was stopped.
        asyncio.CancelledError: the coroutine was cancelled; the session was stopped.
    """
    from octa_provider.watch.watcher import watcher_for

    client = await run_in_thread(account_of(credentials).get_client)
    with client, watcher_for(client, poll_s) as watcher:
        rental = rental_of(client, session)
        ready = await _until_ready_async(client, watcher, rental, deadline_s)
        emit("ready", rental if rental.node_id is not None else await run_in_thread(as_known, client, rental))
        return rental_json(rental, ready)


def _until_ready(
    client: OctaClient, watcher: Watcher, rental: Rental, deadline_s: float, is_cancelled: Callable[[], bool]
) -> Session:
    """Wait in this thread."""
    from octa_provider.watch.ready import wait_until_ready as wait_for_session

    def clean_up(error: BaseException | None) -> None:
        # Of another error the next try waits for the same session; else the flow run is being ended, by a signal.
        if error is not None and (isinstance(error, _ENDS) or not isinstance(error, Exception)):
            _stop(client, rental, error)

    with cleaned_up_by(clean_up):
        session = wait_for_session(watcher, rental, deadline_s, is_cancelled)
        if session is not None:
            return session
        if is_cancelled():
            raise cancelled_error(rental)
        raise _too_late(rental, deadline_s)


async def _until_ready_async(client: OctaClient, watcher: Watcher, rental: Rental, deadline_s: float) -> Session:
    """Wait in this coroutine, without a thread of its own."""
    from octa_provider.watch.ready import wait_until_ready_async

    try:
        session = await wait_until_ready_async(watcher, rental, deadline_s, run_in_thread)
        if session is not None:
            return session
        raise _too_late(rental, deadline_s)
    except (asyncio.CancelledError, *_ENDS) as error:
        await run_in_thread(_stop, client, rental, error)
        raise


def _stop(client: OctaClient, rental: Rental, error: BaseException) -> None:
    """Stop what is waited for no more, and tell it; what has ended or was stopped already is asked for its bill."""
    is_gone = isinstance(error, OctaSessionFailedError | OctaBudgetError)
    bill = rental.stop_after(error, leaves_replacement=is_gone)
    if bill is not None:
        let_go(rental.uuid)
        reason = str(error) if isinstance(error, OctaError) else "what waited for it was ended"
        emit("stopped", as_known(client, rental), bill=bill, reason=reason)


def _too_late(rental: Rental, deadline_s: float) -> OctaWaitTimeoutError:
    return OctaWaitTimeoutError(
        f"session {rental.uuid} on node {rental.node_id} was not ready within {deadline_s:g} s; it was stopped",
        uuid=rental.uuid,
    )
