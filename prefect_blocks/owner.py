"""Whether the run that a rental key belongs to still lives, and which runs live and die with another."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.exceptions import ObjectNotFound

from prefect_blocks.flow_run_pages import all_flow_runs
from prefect_blocks.rental_key import flow_run_of, task_run_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

__all__ = ["family_of", "owner_lives"]


def owner_lives(client: SyncPrefectClient, key: str) -> bool | None:
    """Ask Prefect whether a key's run lives.

    A key that names no run counts as alive. A run that is not known was deleted, or is another Prefect's: which of the
    two, the key's namespace tells.

    A flow that another flow has called runs in that one's process and is gone with it, whatever its own state says:
    nobody is left to tell it. A flow run whose process was killed, and whose end nobody has told, counts as alive:
    Prefect's own automation for zombie flow runs marks it as crashed.

    Args:
        client: Prefect's API.
        key: a rental key, with or without a namespace.

    Returns:
        Whether it lives; None for a run that this Prefect does not know.

    Raises:
        httpx.HTTPError: Prefect's API does not answer; the core takes that for alive.
    """
    try:
        if (flow_run_id := flow_run_of(key)) is not None:
            return _flow_run_lives(client, flow_run_id)
        if (task_run_id := task_run_of(key)) is not None:
            state = client.read_task_run(task_run_id).state
            return state is None or not state.is_final()
    except ObjectNotFound:
        return None
    return True


def family_of(client: SyncPrefectClient, flow_run_id: UUID) -> list[UUID]:
    """A flow run and the flow runs that run in its process: those that it, or one of them, has called.

    Args:
        client: Prefect's API.
        flow_run_id: the flow run.

    Returns:
        Their ids, the flow run's own first.
    """
    family = [flow_run_id]
    generation = [flow_run_id]
    while generation:
        calls = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=generation))
        generation = [
            run.id
            for run in all_flow_runs(client, flow_run_filter=calls)
            if _is_in_callers_process(run) and run.id not in family
        ]
        family += generation
    return family


def _flow_run_lives(client: SyncPrefectClient, flow_run_id: UUID) -> bool:
    run = client.read_flow_run(flow_run_id)
    if run.state is not None and run.state.is_final():
        return False
    if not _is_in_callers_process(run) or run.parent_task_run_id is None:
        return True
    try:
        caller = client.read_task_run(run.parent_task_run_id).flow_run_id
        return caller is None or _flow_run_lives(client, caller)
    except ObjectNotFound:
        # It is of this Prefect, and so was what called it.
        return False


def _is_in_callers_process(run: FlowRun) -> bool:
    # Those of a deployment, or of a work pool, have a process of their own.
    return run.parent_task_run_id is not None and run.deployment_id is None and run.work_pool_name is None
