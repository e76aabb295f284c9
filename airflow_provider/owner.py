"""Whether the task that a rental key names still needs its session: what the reaper asks Airflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider.task_states import dag_run_state, states_of
from octa_provider.rental.key import key_parts

__all__ = ["TaskOwner", "is_owner_alive", "owner_of", "rental_told_by_owner"]

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
    owner = owner_of(key)
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
    owner = owner_of(key)
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
class TaskOwner:
    """The task that a rental key names.

    Attributes:
        dag_id, run_id, task_id: the task, in its run.
        map_index: -1 for a task that is not mapped.
        machine: of a batch's machine its name within the batch, such as `m3`; None for the session of a task.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    machine: str | None = None

    @property
    def is_of_batch(self) -> bool:
        """Whether it is one of a batch's machines."""
        return self.machine is not None


def owner_of(key: str) -> TaskOwner | None:
    """The task that a rental key names; None for a key of something else.

    Args:
        key: with or without the namespace in front.
    """
    parts = key_parts(key)
    machine: str | None = None
    if len(parts) in (8, 9) and parts[-3] == "batch" and _MACHINE.fullmatch(parts[-1]) is not None:
        machine, parts = parts[-1], parts[:-3]
    owner = parts[1:] if len(parts) == 6 else parts
    if len(owner) != 5 or owner[0] != "airflow" or not owner[4].lstrip("-").isdecimal():
        return None
    return TaskOwner(owner[1], owner[2], owner[3], int(owner[4]), machine)
