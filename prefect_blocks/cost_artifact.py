"""What machines cost, as an artifact that is named by the work: a row a session, those of earlier tries included."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect import artifacts
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import FlowRunContext, TaskRunContext

from octa_provider.wire.labels import label_texts
from octa_provider.wire.money import usd_text

__all__ = ["artifact_name", "flow_name_here", "flow_run_id_here", "put_cost", "put_cost_of_orphan", "row"]

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
    labels: Mapping[str, str] | None = None,
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
        labels: what the session is labelled with; a column only where there are any.
    """
    return {
        "outcome": outcome,
        "USD": "" if cost_usd is None else f"{cost_usd:.6f}",
        "seconds": "" if duration_s is None else f"{duration_s:g}",
        "done": "" if done is None else f"{done:.0%}",
        "exit code": "" if exit_code is None else str(exit_code),
        "node": "" if node_id is None else str(node_id),
        "session": uuid,
        **({"labels": ", ".join(label_texts(labels))} if labels else {}),
    }


def put_cost(name: str, about: str, new: dict[str, str], flow_run_id: UUID | None) -> None:
    """Make the artifact anew with a further row. It blocks, and raises what Prefect's API does.

    Args:
        name: from `artifact_name`.
        about: the work, in words.
        new: the row; one of the same session is replaced.
        flow_run_id: whose bill it is, and whose earlier rows are kept.
    """
    key = f"octa-{name}-cost"
    # Two jobs of one flow that end together must both be there.
    with _lock:
        earlier = [] if flow_run_id is None else _rows(key, flow_run_id)
        rows = [one for one in earlier if one.get("session") != new["session"]] + [new]
        if any("labels" in one for one in rows):
            rows = [{**one, "labels": one.get("labels", "")} for one in rows]
        costs = [float(one["USD"]) for one in rows if one.get("USD")]
        total = f": {usd_text(sum(costs), 6)}" if len(costs) == len(rows) else ""
        tries = f" in {len(rows)} sessions" if len(rows) > 1 else ""
        _make(key, f"What {about} came to{tries}{total}", rows, flow_run_id)


def put_cost_of_orphan(new: dict[str, str], flow_run_id: UUID, flow_name: str) -> None:
    """The row of a session that its flow run has left, into a bill that is named as the flow is.

    A session that is on one of the flow run's bills already stays as it is there: who wrote that knew more.

    Args:
        new: the row.
        flow_run_id: who has left it.
        flow_name: of its flow.

    Raises:
        httpx.HTTPError, PrefectException: Prefect's API can't be asked.
    """
    with get_client(sync_client=True) as prefect:
        bills = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(like_="octa-%-cost"), flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id])
            )
        )
    if not any(one.get("session") == new["session"] for bill in bills for one in _rows_of(bill)):
        put_cost(artifact_name(flow_name), flow_name, new, flow_run_id)


def _make(key: str, description: str, rows: list[dict[str, Any]], flow_run_id: UUID | None) -> None:
    if flow_run_id is None or flow_run_id == flow_run_id_here():
        # Prefect also notes which task it is of.
        artifacts.create_table_artifact(key=key, description=description, table=rows, _sync=True)  # type: ignore[call-arg]
        return
    made = ArtifactCreate(
        key=key, type="table", description=description, data=json.dumps(rows), flow_run_id=flow_run_id
    )
    with get_client(sync_client=True) as prefect:
        prefect.create_artifact(made)


def _rows(key: str, flow_run_id: UUID) -> list[dict[str, Any]]:
    with get_client(sync_client=True) as prefect:
        made = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(any_=[key]), flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id])
            ),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    return _rows_of(made[0]) if made else []


def _rows_of(artifact: Artifact) -> list[dict[str, Any]]:
    rows = json.loads(str(artifact.data))
    return [one for one in rows if isinstance(one, dict)] if isinstance(rows, list) else []
