"""What machines cost, as an artifact that is named by the work: a row a session, those of earlier tries included."""

from __future__ import annotations

import json
import re
import threading
from typing import Any
from uuid import UUID

from prefect import artifacts
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import FlowRunContext, TaskRunContext

from octa_provider.wire.money import usd_text

__all__ = ["artifact_name", "flow_name_here", "flow_run_id_here", "put_cost", "row"]

_NO_NAME = re.compile("[^a-z0-9]+")
_lock = threading.Lock()


def artifact_name(name: str) -> str:
    """A name as the keys of artifacts have it: small letters, digits and dashes.

    Args:
        name: of the work.
    """
    return _NO_NAME.sub("-", name.lower()).strip("-") or "job"


def flow_run_id_here() -> UUID | None:
    """The flow run that this is a part of, by itself or by one of its tasks; None outside of any."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is not None and task.task_run.flow_run_id is not None:
        return task.task_run.flow_run_id
    return None if flow is None or flow.flow_run is None else flow.flow_run.id


def flow_name_here() -> str:
    """The name of the flow that this is a part of; empty outside of any."""
    flow = FlowRunContext.get()
    return "" if flow is None or flow.flow is None else flow.flow.name


def row(
    outcome: str,
    *,
    uuid: str,
    node_id: int | None,
    duration_s: float | None,
    cost_usd: float | None,
    exit_code: int | None = None,
    done: float | None = None,
) -> dict[str, str]:
    """One session of the bill; columns that a person looks for come first.

    Args:
        outcome: how it ended.
        uuid: the session.
        node_id: its machine.
        duration_s: seconds it ran.
        cost_usd: what it cost, in USD.
        exit_code: the command's.
        done: how far the work was, from 0 to 1.
    """
    return {
        "outcome": outcome,
        "USD": "" if cost_usd is None else f"{cost_usd:.6f}",
        "seconds": "" if duration_s is None else f"{duration_s:g}",
        "done": "" if done is None else f"{done:.0%}",
        "exit code": "" if exit_code is None else str(exit_code),
        "node": "" if node_id is None else str(node_id),
        "session": uuid,
    }


def put_cost(name: str, about: str, new: dict[str, str], flow_run_id: UUID | None) -> None:
    """Make the artifact anew with a further row. It blocks, and raises what Prefect's API does.

    Args:
        name: from `artifact_name`.
        about: the work, in words.
        new: the row; one of the same session is replaced.
        flow_run_id: whose earlier rows are kept.
    """
    key = f"octa-{name}-cost"
    # Two jobs of one flow that end together must both be there.
    with _lock:
        earlier = [] if flow_run_id is None else _rows(key, flow_run_id)
        rows = [one for one in earlier if one.get("session") != new["session"]] + [new]
        costs = [float(one["USD"]) for one in rows if one.get("USD")]
        total = f": {usd_text(sum(costs), 6)}" if len(costs) == len(rows) else ""
        tries = f" in {len(rows)} sessions" if len(rows) > 1 else ""
        artifacts.create_table_artifact(
            key=key,
            description=f"What {about} came to{tries}{total}",
            table=rows,
            _sync=True,  # type: ignore[call-arg]
        )


def _rows(key: str, flow_run_id: UUID) -> list[dict[str, Any]]:
    with get_client(sync_client=True) as prefect:
        made = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(any_=[key]), flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id])
            ),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    rows = json.loads(str(made[0].data)) if made else []
    return [one for one in rows if isinstance(one, dict)]
