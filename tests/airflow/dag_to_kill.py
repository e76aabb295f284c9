"""A DAG run in a process of its own, for a test to kill: `forked(first_run, '{"name": ...}', log)`."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG
from airflow_runs import run

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from airflow_provider.operators.start import OctaStartMachineOperator

#: The run is the same one each time: the next process is the next try of the same task.
AT = datetime(2026, 1, 2, tzinfo=timezone.utc)


def dag_to_kill(name: str, **arguments: Any) -> Any:
    """A DAG of one job."""
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        OctaRunJobOperator(**{"task_id": "job", "image": "alpine:3", "poll_interval": 0.2} | arguments)
    return dag


def batch_to_kill(name: str, **arguments: Any) -> Any:
    """A DAG of one batch."""
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        OctaRenderAnimationOperator(**{"task_id": "render"} | arguments)
    return dag


def start_to_kill(name: str, **arguments: Any) -> Any:
    """A DAG that starts a machine."""
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        OctaStartMachineOperator(**{"task_id": "start", "image": "alpine:3"} | arguments)
    return dag


def first_run(told: str) -> None:
    """Run such a DAG.

    Args:
        told: its arguments, as JSON; with `kind` "batch", those of a batch.
    """
    given = json.loads(told)
    make = batch_to_kill if given.pop("kind", None) == "batch" else dag_to_kill
    run(make(**given), at=AT)
