"""Whether the task that a rental key names still needs its session: what the reaper asks Airflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider.task_states import dag_run_state, states_of
from octa_provider.rental.key import key_parts

__all__ = ["is_owner_alive", "rental_told_by_owner"]

#: In these the task is over without a session that anybody could use.
_DEAD = frozenset({"failed", "skipped", "upstream_failed", "removed"})
_RUN_ENDED = frozenset({"success", "failed"})
#: The last part of the key of a batch's machine.
_MACHINE = re.compile(r"m[0-9]{1,9}")


def is_owner_alive(key: str) -> bool | None:
    """Ask Airflow about the task of a rental key.

    A task that succeeded may have started the session for others: it counts as alive until its DAG run has ended. A
    batch that succeeded has left nothing for anybody.

    Args:
        key: `<namespace>/airflow/<dag>/<run>/<task>/<map index>`, or without a namespace, as it was before there were
            any; for a machine of a batch with `/batch/<fingerprint>/m<number>` behind it. Any other is somebody
            else's, and counts as alive.

    Returns:
        False when the task has failed, or when its DAG run is over; None when this Airflow has no such task or run.
    """
    owner = _owner(key)
    if owner is None:
        return True
    states = states_of(owner.dag_id, owner.run_id, [owner.task_id], owner.map_index)
    state = states.get(owner.task_id if owner.map_index < 0 else f"{owner.task_id}_{owner.map_index}")
    if state is None:
        return None
    if state != "success":
        return state not in _DEAD
    if owner.is_of_batch:
        return False
    run = dag_run_state(owner.dag_id, owner.run_id)
    return None if run is None else run not in _RUN_ENDED


def rental_told_by_owner(key: str) -> Mapping[str, Any] | None:
    """The rental, with its caps, as the task of a rental key put it into XCom; None when it did not.

    Args:
        key: the rental key, whole.
    """
    owner = _owner(key)
    if owner is None:
        return None
    for name in ("session", "return_value"):
        found = _xcom().get_one(
            key=name,
            dag_id=owner.dag_id,
            task_id=owner.task_id,
            run_id=owner.run_id,
            map_index=owner.map_index,
        )
        if isinstance(found, Mapping) and found.get("uuid"):
            return found
    return None


def _xcom() -> Any:
    try:
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:
        from airflow.models.xcom import XCom as XComOnTwo

        return XComOnTwo
    return XCom


@dataclass(frozen=True)
class _Owner:
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    is_of_batch: bool


def _owner(key: str) -> _Owner | None:
    """The task that a rental key names; None for a key of something else."""
    parts = key_parts(key)
    is_of_batch = len(parts) in (8, 9) and parts[-3] == "batch" and _MACHINE.fullmatch(parts[-1]) is not None
    if is_of_batch:
        parts = parts[:-3]
    owner = parts[1:] if len(parts) == 6 else parts
    if len(owner) != 5 or owner[0] != "airflow" or not owner[4].lstrip("-").isdecimal():
        return None
    return _Owner(owner[1], owner[2], owner[3], int(owner[4]), is_of_batch)
