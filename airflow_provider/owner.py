"""Whether the task that a rental key names still needs its session: what the reaper asks Airflow."""

from __future__ import annotations

from typing import Any

from octa_provider.rental_key import key_parts

__all__ = ["is_owner_alive"]

#: In these the task is over without a session that anybody could use.
_DEAD = frozenset({"failed", "skipped", "upstream_failed", "removed"})
_RUN_ENDED = frozenset({"success", "failed"})


def is_owner_alive(key: str) -> bool:
    """Ask Airflow about the task of a rental key.

    A task that succeeded may have started the session for others: it counts as alive until its DAG run has ended.

    Args:
        key: `airflow/<dag>/<run>/<task>/<map index>`; any other is somebody else's, and counts as alive.

    Returns:
        False when the task has failed or was deleted, or when its DAG run is over.
    """
    parts = key_parts(key)
    if parts is None or len(parts) != 5 or parts[0] != "airflow":
        return True
    _, dag_id, run_id, task_id, map_index = parts
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:
        task, dag_run = _in_database(dag_id, run_id, task_id, int(map_index))
        return task != "" and _needs_it(task, dag_run)
    of_run: dict[str, Any] = RuntimeTaskInstance.get_task_states(
        dag_id=dag_id, run_ids=[run_id], task_ids=[task_id], map_index=int(map_index)
    ).get(run_id, {})
    name = task_id if int(map_index) < 0 else f"{task_id}_{map_index}"
    if name not in of_run:
        return False
    return _needs_it(of_run[name], RuntimeTaskInstance.get_dagrun_state(dag_id, run_id))


def _needs_it(task: object, dag_run: object) -> bool:
    if _text(task) == "success":
        return _text(dag_run) not in _RUN_ENDED
    return _text(task) not in _DEAD


def _text(state: object) -> str:
    return str(getattr(state, "value", state))


def _in_database(dag_id: str, run_id: str, task_id: str, map_index: int) -> tuple[object, object]:
    """The states of task and DAG run on Airflow 2, where a task reads the database; empty for a task that is gone."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        task = session.get(TaskInstance, (dag_id, task_id, run_id, map_index))
        dag_run = session.query(DagRun).filter_by(dag_id=dag_id, run_id=run_id).one_or_none()
        return ("", "") if task is None or dag_run is None else (task.state, dag_run.state)
