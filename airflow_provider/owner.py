"""Whether the task that a rental key names still needs its session: what the reaper asks Airflow."""

from __future__ import annotations

from airflow_provider.task_states import dag_run_state, states_of
from octa_provider.rental_key import key_parts

__all__ = ["is_owner_alive"]

#: In these the task is over without a session that anybody could use.
_DEAD = frozenset({"failed", "skipped", "upstream_failed", "removed"})
_RUN_ENDED = frozenset({"success", "failed"})


def is_owner_alive(key: str) -> bool | None:
    """Ask Airflow about the task of a rental key.

    A task that succeeded may have started the session for others: it counts as alive until its DAG run has ended.

    Args:
        key: `<namespace>/airflow/<dag>/<run>/<task>/<map index>`, or without a namespace, as it was before there were
            any; any other is somebody else's, and counts as alive.

    Returns:
        False when the task has failed, or when its DAG run is over; None when this Airflow has no such task or run.
    """
    parts = key_parts(key)
    owner = parts[1:] if len(parts) == 6 else parts
    if len(owner) != 5 or owner[0] != "airflow" or not owner[4].lstrip("-").isdecimal():
        return True
    _, dag_id, run_id, task_id, index = owner
    map_index = int(index)
    states = states_of(dag_id, run_id, [task_id], map_index)
    state = states.get(task_id if map_index < 0 else f"{task_id}_{map_index}")
    if state is None:
        return None
    if state != "success":
        return state not in _DEAD
    run = dag_run_state(dag_id, run_id)
    return None if run is None else run not in _RUN_ENDED
