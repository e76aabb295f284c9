"""Watching a machine between a trigger's event and the worker that takes over.

An event makes Airflow schedule its task again, and that can take long: the DAG is paused, the pool is full, no worker
runs. Nothing tells a trigger so, and Airflow ends it once its event is stored. So the triggerer goes on by itself: it
looks at the session as before, and at the task, until a worker runs it. A cap that is reached meanwhile, or a deadline,
stops the session; so does a user who ends the task while it waits, of which nobody else would hear.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.triggers.account import account
from airflow_provider.triggers.killed_by_user import Watched, how_it_waits
from airflow_provider.triggers.worker_threads import in_thread
from octa_provider.errors import OctaError
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from airflow_provider.connection_settings import ConnectionSettings
    from octa_provider import Rental
    from octa_provider.models import Session
    from octa_provider.watch.watcher import Watcher

__all__ = ["TAKE_OVER_S", "stop_when_kept_long_enough", "watch_until_taken_over", "watched_sessions"]

log = plain_logger(__name__)

#: However short a job's own deadlines are, a worker has so long to take over.
TAKE_OVER_S = 900.0
#: How often the task is asked about. Each takes a request of Airflow's API server.
LOOK_S = 15.0
STOP_S = 120.0
#: A loop keeps no strong reference to its tasks.
_watching: set[asyncio.Task[None]] = set()


def watch_until_taken_over(
    task_instance: Any,
    settings: ConnectionSettings,
    rental: Mapping[str, Any],
    *,
    stop_at: float | None,
    stops_on_kill: bool = True,
    poll_s: float = 5.0,
) -> None:
    """Go on watching a session whose trigger is about to tell its event.

    Args:
        task_instance: the trigger's; None in `dag.test()`, which goes on at once.
        settings: the connection's.
        rental: the session, as `rental_json` gives it; its caps are held.
        stop_at: Unix time from which it is stopped when no worker has taken over; None for its caps alone.
        stops_on_kill: whether it is stopped when a user ends the task.
        poll_s: seconds between two looks at the session, at least.
    """
    if task_instance is None:
        return
    # From here on the time that passes counts: a wall clock that is set ends no wait for a worker.
    ends = None if stop_at is None else time.monotonic() + max(0.0, stop_at - time.time())
    _go_on(_watch(task_instance, settings, rental, ends, stops_on_kill, poll_s))


def stop_when_kept_long_enough(settings: ConnectionSettings, uuid: str, until: float) -> None:
    """Stop a session that is kept for a look, once its time is over, if this triggerer still runs then.

    Args:
        settings: the connection's.
        uuid: the session.
        until: Unix time until which it is kept.
    """
    _go_on(_stop_kept(settings, uuid, until))


def _go_on(watching: Coroutine[Any, Any, None]) -> None:
    # In a context of its own: the trigger's log is closed when it ends.
    task = contextvars.Context().run(asyncio.get_running_loop().create_task, watching)
    _watching.add(task)
    task.add_done_callback(_watching.discard)


async def _stop_kept(settings: ConnectionSettings, uuid: str, until: float) -> None:
    await asyncio.sleep(max(0.0, until - time.time()))
    try:
        with settings.client() as client:
            await in_thread(client.rentals.open(uuid).stop, deadline_s=STOP_S)
        log.warning("Stopped session %s, which was kept since its command failed: its time is over", uuid)
    except Exception:
        log.exception("Session %s, whose time to be kept is over, may still run and bill: the reaper stops it.", uuid)


def watched_sessions() -> int:
    """How many sessions this triggerer watches for tasks that wait for a worker."""
    return len(_watching)


async def _watch(
    ti: Any,
    settings: ConnectionSettings,
    state: Mapping[str, Any],
    ends: float | None,
    stops_on_kill: bool,
    poll_s: float,
) -> None:
    try:
        with account(settings, poll_s) as here:
            rental = here.client.rentals.restore(state)
            while True:
                session, cap = await _look(here.watcher, rental)
                if session is not None and session.finished_at is not None:
                    return
                now = await how_it_waits(ti)
                if now is Watched.ELSEWHERE:
                    return
                why = _why_stop(cap, now, ends, stops_on_kill=stops_on_kill)
                if why is not None and await _stop(rental, ti, why):
                    return
    except Exception:
        log.exception("Session %s of task %s is watched no more: the reaper stops it.", state.get("uuid"), ti.task_id)


async def _look(watcher: Watcher, rental: Rental) -> tuple[Session | None, str | None]:
    """The session, None when it is unseen, and which cap it has reached."""
    from octa_provider.watch.cap_keeper import watch_caps_async

    try:
        return await watch_caps_async(watcher, rental, LOOK_S)
    except OctaError as error:
        log.warning("Session %s can't be seen now: %s", rental.uuid, error)
        await asyncio.sleep(LOOK_S)
        return None, None


def _why_stop(cap: str | None, now: Watched, ends: float | None, *, stops_on_kill: bool) -> str | None:
    if cap is not None:
        return f"it {cap}"
    if now is Watched.BY_NOBODY and stops_on_kill:
        return "its task was ended while it waited for a worker"
    if now is Watched.HERE and ends is not None and time.monotonic() >= ends:
        return "no worker took over in time: its DAG is paused, its pool is full, or no worker runs"
    return None


async def _stop(rental: Rental, ti: Any, why: str) -> bool:
    try:
        await in_thread(rental.stop, deadline_s=STOP_S, leaves_replacement=True)
    except OctaError as error:
        log.error(
            "Session %s of task %s may still run and bill, and is asked again: %s", rental.uuid, ti.task_id, error
        )
        return False
    log.warning("Stopped session %s of task %s (run %s): %s", rental.uuid, ti.task_id, ti.run_id, why)
    return True
