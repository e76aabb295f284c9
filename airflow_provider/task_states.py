"""How tasks are doing, asked of Airflow: over its API on Airflow 3, of the database on Airflow 2."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

__all__ = ["FAILED", "dag_run_state", "states_of"]

#: What a DAG run counts as a failure of a task.
FAILED = frozenset({"failed", "upstream_failed"})


def states_of(dag_id: str, run_id: str, task_ids: Collection[str], map_index: int | None = None) -> dict[str, str]:
    """The states of tasks in one DAG run.

    Args:
        dag_id: the DAG.
        run_id: the run.
        task_ids: which tasks.
        map_index: of which index; -1 for tasks that are not mapped, None for all.

    Returns:
        By task id, with `_<index>` behind it for a mapped one, the state: the text `None` for one without a state. What
        Airflow does not know is missing.
    """
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:
        return _in_database(dag_id, run_id, task_ids, map_index)
    asked: dict[str, Any] = {} if map_index is None else {"map_index": map_index}
    found = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id], task_ids=list(task_ids), **asked).get(
        run_id
    )
    return {name: _text(state) for name, state in (found or {}).items()}


def dag_run_state(dag_id: str, run_id: str) -> str | None:
    """The state of a DAG run; None when Airflow does not know it.

    Args:
        dag_id: the DAG.
        run_id: its run.
    """
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(DagRun).filter_by(dag_id=dag_id, run_id=run_id).one_or_none()
            return None if found is None else _text(found.state)
    return _text(RuntimeTaskInstance.get_dagrun_state(dag_id, run_id))


def _in_database(dag_id: str, run_id: str, task_ids: Collection[str], map_index: int | None) -> dict[str, str]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        query = session.query(TaskInstance).filter_by(dag_id=dag_id, run_id=run_id)
        query = query.filter(TaskInstance.task_id.in_(list(task_ids)))
        if map_index is not None:
            query = query.filter_by(map_index=map_index)
        return {
            found.task_id if found.map_index < 0 else f"{found.task_id}_{found.map_index}": _text(found.state)
            for found in query
        }


def _text(state: object) -> str:
    return str(getattr(state, "value", state))
