"""Which rental key a task's work has: the same for every try of it, another for every other work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.rental.key import rental_key as join_parts

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["rental_key", "rental_key_of_all_indexes"]


def rental_key(context: Context, task_id: str | None = None) -> str:
    """The key `airflow/<dag>/<run>/<task>/<map index>`; the client puts its namespace in front.

    A retry, or a run of the task after it was cleared, has the same key: it adopts a session that still runs.

    Args:
        context: the context of the task that runs.
        task_id: the task that started the session, when that is another one of the same run and map index.
    """
    return join_parts(*_parts(context, task_id), str(context["ti"].map_index))


def rental_key_of_all_indexes(context: Context, task_id: str) -> str:
    """What the keys of a task begin with in this run, whatever its map index.

    Args:
        context: the context of the task that runs.
        task_id: the task that started the sessions.
    """
    return join_parts(*_parts(context, task_id))


def _parts(context: Context, task_id: str | None) -> tuple[str, str, str, str]:
    ti = context["ti"]
    return "airflow", ti.dag_id, ti.run_id, task_id or ti.task_id
