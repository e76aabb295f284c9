"""How tasks are doing, asked of Airflow: over its API on Airflow 3, of the database on Airflow 2."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

from airflow_provider.supervisor import ask

__all__ = ["FAILED", "dag_run_state", "states_of"]

_IS_THREE = find_spec("airflow.sdk") is not None
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
    if not _IS_THREE:
        return _in_database(dag_id, run_id, task_ids, map_index)
    from airflow.sdk.execution_time.comms import GetTaskStates

    answer = ask(GetTaskStates(dag_id=dag_id, run_ids=[run_id], task_ids=list(task_ids), map_index=map_index))
    return {name: _text(state) for name, state in (answer.task_states.get(run_id) or {}).items()}


def dag_run_state(dag_id: str, run_id: str) -> str | None:
    """The state of a DAG run; None when Airflow does not know it.

    Args:
        dag_id: the DAG.
        run_id: its run.
    """
    if not _IS_THREE:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(DagRun).filter_by(dag_id=dag_id, run_id=run_id).one_or_none()
            return None if found is None else _text(found.state)
    from airflow.sdk.execution_time.comms import GetDagRunState

    return _text(ask(GetDagRunState(dag_id=dag_id, run_id=run_id)).state)


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
