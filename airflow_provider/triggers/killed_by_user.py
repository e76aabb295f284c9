"""Whether a trigger that is being ended is ended because its task is: a restart or a move must stop nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

from airflow_provider.task_states import states_of
from airflow_provider.triggers.worker_threads import in_thread
from airflow_provider.try_note import noted_try
from octa_provider.errors import OctaError
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from airflow_provider.connection_settings import ConnectionSettings

__all__ = ["TELLS_KILLS", "TaskNow", "Watched", "how_it_waits", "is_task_over", "stop_session", "task_now"]

log = plain_logger(__name__)

#: From Airflow 3.3 on a user's act calls `on_kill`. Before, it is a cancel like any other.
TELLS_KILLS = hasattr(BaseTrigger, "on_kill")

#: Airflow gives `on_kill` of a trigger 30 s.
_KILL_S = 25.0
_IS_THREE = find_spec("airflow.sdk") is not None
_OVER = frozenset(
    {"failed", "success", "skipped", "removed", "upstream_failed", "up_for_retry", "up_for_reschedule", "restarting"}
)
_WAITING = frozenset({"deferred", "scheduled", "queued"})
_AT_WORK = frozenset({"running", "deferred"})


async def is_task_over(trigger: BaseTrigger, *, resumed_is_over: bool, next_try_takes_over: bool = False) -> bool:
    """Ask Airflow whether the task that a trigger waits for no longer waits.

    A triggerer that shuts down cancels its triggers, and one that stalled (3.3) may even tell those that were moved
    away that a user killed them: their tasks are deferred still. A task that was cleared may be deferred again by the
    time its first trigger is told: it is another try then.

    Args:
        trigger: the trigger.
        resumed_is_over: what it means that the same try is being scheduled or runs: that it was resumed, perhaps by
            another triggerer's event, and whether it still uses its session.
        next_try_takes_over: whether another try that works already has found what this one left, and uses it.

    Returns:
        Whether its session may be stopped; not when Airflow cannot be asked.
    """
    ti: Any = trigger.task_instance
    if ti is None:
        # `dag.test()` runs a trigger without its task; nobody can kill it there but with the process.
        return False
    try:
        now = await in_thread(task_now, ti)
    except Exception:
        log.exception("Whether task %s was killed can't be told: its session is left alone.", ti.task_id)
        return False
    if next_try_takes_over and now.is_another_try and now.state in _AT_WORK:
        return False
    if now.state is None or now.state in _OVER or now.is_another_try:
        return True
    return resumed_is_over and now.state != "deferred"


class Watched(Enum):
    """Who watches the session of a task whose trigger has told its event."""

    #: Its task waits for a worker: the triggerer.
    HERE = "here"
    #: A worker runs it, or another try will.
    ELSEWHERE = "elsewhere"
    #: A user ended the task meanwhile.
    BY_NOBODY = "by nobody"
    #: Airflow can't be asked now.
    UNKNOWN = "unknown"


async def how_it_waits(ti: Any) -> Watched:
    """Ask Airflow who watches the session of a task whose trigger has told its event.

    Args:
        ti: the trigger's task instance.
    """
    try:
        now = await in_thread(task_now, ti)
    except Exception as error:  # noqa: BLE001 - each Airflow has its own
        log.warning("How task %s waits can't be told now: %s", ti.task_id, error)
        return Watched.UNKNOWN
    if now.is_another_try:
        return Watched.ELSEWHERE
    if now.state == "up_for_retry":
        # The worker that came back has died: the next try goes on with what runs.
        return Watched.HERE
    if now.state is None or now.state in _OVER:
        return Watched.BY_NOBODY
    return Watched.HERE if now.state in _WAITING else Watched.ELSEWHERE


@dataclass(frozen=True)
class TaskNow:
    """How a task is now.

    Attributes:
        state: as Airflow names it; None when the task was cleared or is gone.
        is_another_try: whether a later try works on it.
    """

    state: str | None
    is_another_try: bool = False


def task_now(ti: Any) -> TaskNow:
    """Ask Airflow how a task is now.

    Args:
        ti: the trigger's task instance.

    Raises:
        Exception: Airflow can't be asked; each has its own.
    """
    if not _IS_THREE:
        return _task_now_in_database(ti)
    states = states_of(ti.dag_id, ti.run_id, [ti.task_id], ti.map_index)
    state = states.get(ti.task_id, states.get(f"{ti.task_id}_{ti.map_index}", "None"))
    if state == "None":
        return TaskNow(None)
    return TaskNow(state, noted_try(ti) != ti.try_number)


def _task_now_in_database(ti: Any) -> TaskNow:
    """The same on Airflow 2, where a triggerer reads the database."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.get(TaskInstance, (ti.dag_id, ti.task_id, ti.run_id, ti.map_index))
        if found is None or found.state is None:
            return TaskNow(None)
        return TaskNow(str(getattr(found.state, "value", found.state)), found.try_number != ti.try_number)


def stop_session(settings: ConnectionSettings, uuid: str) -> None:
    """Stop one session, and not its key: a task that was cleared may have started anew by now.

    Args:
        settings: the connection's.
        uuid: the session.
    """
    try:
        with settings.client() as client:
            client.rentals.open(uuid).stop(deadline_s=_KILL_S)
    except OctaError as error:
        from octa_provider.rental.stop import may_bill_text

        log.error("%s\n%s", may_bill_text(uuid), error)
