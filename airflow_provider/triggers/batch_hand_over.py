"""Watching the machines of a batch between a trigger's event and the worker that takes over.

As `hand_over` does for one session: a DAG that is paused, a pool that is full or a missing worker may keep the task
waiting, and nobody else looks after the machines then.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.triggers.killed_by_user import Watched, how_it_waits
from airflow_provider.triggers.worker_threads import in_thread, threads_of
from octa_provider.errors import OctaError
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from airflow_provider.connection_settings import ConnectionSettings

__all__ = ["stop_sessions", "watch_batch_until_taken_over", "watched_batches"]

log = plain_logger(__name__)

#: How often the task is asked about. Each takes a request of Airflow's API server.
LOOK_S = 15.0
STOP_S = 120.0
#: A loop keeps no strong reference to its tasks.
_watching: set[asyncio.Task[None]] = set()


def watch_batch_until_taken_over(
    task_instance: Any, settings: ConnectionSettings, uuids: Sequence[str], *, stop_at: float
) -> None:
    """Go on looking after machines whose trigger is about to tell its event.

    Args:
        task_instance: the trigger's; None in `dag.test()`, which goes on at once.
        settings: the connection's.
        uuids: the sessions.
        stop_at: Unix time from which they are stopped when no worker has taken over.
    """
    if task_instance is None or not uuids:
        return
    # From here on the time that passes counts: a wall clock that is set ends no wait for a worker.
    ends = time.monotonic() + max(0.0, stop_at - time.time())
    watching = _watch(task_instance, settings, uuids, ends)
    # In a context of its own: the trigger's log is closed when it ends.
    task = contextvars.Context().run(asyncio.get_running_loop().create_task, watching)
    _watching.add(task)
    task.add_done_callback(_watching.discard)


def watched_batches() -> int:
    """How many batches this triggerer looks after for tasks that wait for a worker."""
    return len(_watching)


def stop_sessions(settings: ConnectionSettings, uuids: Sequence[str], deadline_s: float) -> None:
    """Stop these sessions, and none of their keys: a task that was cleared may have rented anew by now.

    Args:
        settings: the connection's.
        uuids: the sessions.
        deadline_s: seconds to try for.

    Raises:
        OctaError: some may run still; says how to stop them.
    """
    from octa_provider.rental.stop import sweep

    with settings.client() as client:
        sweep(client, uuids=uuids, key=None, deadline_s=deadline_s)


async def _watch(ti: Any, settings: ConnectionSettings, uuids: Sequence[str], ends: float) -> None:
    try:
        with threads_of(settings):
            while True:
                await asyncio.sleep(LOOK_S)
                now = await how_it_waits(ti)
                if now is Watched.ELSEWHERE:
                    return
                why = _why_stop(now, ends)
                if why is not None and await _stop(settings, uuids, ti, why):
                    return
    except Exception:
        log.exception("The machines of task %s are looked after no more: the reaper stops them.", ti.task_id)


def _why_stop(now: Watched, ends: float) -> str | None:
    if now is Watched.BY_NOBODY:
        return "it was ended while it waited for a worker"
    if now is Watched.HERE and time.monotonic() >= ends:
        return "no worker took over in time: its DAG is paused, its pool is full, or no worker runs"
    return None


async def _stop(settings: ConnectionSettings, uuids: Sequence[str], ti: Any, why: str) -> bool:
    try:
        await in_thread(stop_sessions, settings, uuids, STOP_S)
    except OctaError as error:
        log.error("Machines of task %s may still run and bill, and are asked again: %s", ti.task_id, error)
        return False
    log.warning("Stopped %d machines of task %s (run %s): %s", len(uuids), ti.task_id, ti.run_id, why)
    return True
