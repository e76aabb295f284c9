"""All flow runs of a question, however many there are: Prefect's API gives 200 at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.client.schemas.sorting import FlowRunSort

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

__all__ = ["PAGE", "all_flow_runs", "all_flow_runs_async"]

PAGE = 200


def all_flow_runs(client: SyncPrefectClient, **filters: Any) -> list[FlowRun]:
    """Every flow run that fits.

    Args:
        client: Prefect's API.
        filters: as its `read_flow_runs` takes them.
    """
    runs: dict[object, FlowRun] = {}
    for offset in _offsets():
        page = client.read_flow_runs(**filters, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=offset)
        runs.update({run.id: run for run in page})
        if len(page) < PAGE:
            break
    return list(runs.values())


async def all_flow_runs_async(client: PrefectClient, **filters: Any) -> list[FlowRun]:
    """Every flow run that fits, for coroutines.

    Args:
        client: Prefect's API.
        filters: as its `read_flow_runs` takes them.
    """
    runs: dict[object, FlowRun] = {}
    for offset in _offsets():
        page = await client.read_flow_runs(**filters, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=offset)
        runs.update({run.id: run for run in page})
        if len(page) < PAGE:
            break
    return list(runs.values())


def _offsets() -> range:
    return range(0, 1_000_000, PAGE)
