"""What the task that waits for a session does."""

from __future__ import annotations

from typing import Any

from octa_provider.rental.json_values import rental_json
from prefect_blocks.credentials import OctaCredentials
from prefect_blocks.events import emit
from prefect_blocks.in_thread import cancellation, in_thread
from prefect_blocks.session_argument import SessionArgument, rental_of

__all__ = ["await_until_ready", "wait_until_ready"]


def wait_until_ready(
    session: SessionArgument,
    *,
    deadline_s: float = 900.0,
    poll_s: float = 5.0,
    credentials: OctaCredentials | None = None,
) -> dict[str, Any]:
    """Wait until a session can be used. All that wait in a process share one list call per interval.

    Args:
        session: what a start task returned, or a uuid.
        deadline_s: seconds after which it is too late; then the session is stopped.
        poll_s: seconds between two looks.
        credentials: the account; the environment's when left out.

    Returns:
        The session, now also with `urls`, `ssh`, `ssh_web` when known.

    Raises:
        OctaWaitTimeoutError: too late; the session was stopped.
        OctaSessionFailedError: the session ended or failed; its system log's last lines are in the error.
        OctaBudgetError: its cap was reached; it was stopped.
        OctaCancelledError: the run is being ended; the session was stopped.
    """
    from octa_provider.watch.watcher import watcher_for
    from prefect_blocks.waiting import until_ready

    with (credentials or OctaCredentials()).get_client() as client, watcher_for(client, poll_s) as watcher:
        rental = rental_of(client, session)
        ready = until_ready(watcher, rental, deadline_s, cancellation())
        emit("ready", rental)
        return rental_json(rental, ready)


async def await_until_ready(
    session: SessionArgument,
    *,
    deadline_s: float = 900.0,
    poll_s: float = 5.0,
    credentials: OctaCredentials | None = None,
) -> dict[str, Any]:
    """As `wait_until_ready`, for coroutines: the wait is theirs and takes no thread."""
    from octa_provider.watch.watcher import watcher_for
    from prefect_blocks.waiting import until_ready_async

    client = await in_thread((credentials or OctaCredentials()).get_client)
    with client, watcher_for(client, poll_s) as watcher:
        rental = rental_of(client, session)
        ready = await until_ready_async(watcher, rental, deadline_s)
        emit("ready", rental)
        return rental_json(rental, ready)
