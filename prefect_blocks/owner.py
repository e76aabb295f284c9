"""Whether the run that a rental key belongs to still lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.exceptions import ObjectNotFound

from prefect_blocks.rental_key import flow_run_of, task_run_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

__all__ = ["owner_lives"]


def owner_lives(client: SyncPrefectClient, key: str) -> bool:
    """Ask Prefect. A run that has ended, or was deleted, is gone; a key that names no run counts as alive.

    A flow run whose process was killed, and whose end nobody has told, counts as alive too: Prefect's own automation
    for zombie flow runs marks it as crashed.

    Raises:
        httpx.HTTPError: Prefect's API does not answer; the core takes that for alive.
    """
    try:
        if (flow_run_id := flow_run_of(key)) is not None:
            state = client.read_flow_run(flow_run_id).state
        elif (task_run_id := task_run_of(key)) is not None:
            state = client.read_task_run(task_run_id).state
        else:
            return True
    except ObjectNotFound:
        return False
    return state is None or not state.is_final()
