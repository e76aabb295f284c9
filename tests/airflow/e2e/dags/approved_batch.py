"""A batch that is quoted, approved and rendered, on a worker or deferred: what the campaign of kills runs."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param
from airflow.providers.standard.operators.hitl import ApprovalOperator

from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator

PARAMS = {
    "command": Param("", type="string"),
    "folder": Param("", type="string"),
    "frames": Param("1-9", type="string"),
}


def note_process(context: Any) -> None:
    """Tell which process runs this try of which task."""
    ti = context["ti"]
    line = f"{time.time()} {os.getpid()} {os.getppid()} {ti.try_number} {ti.task_id}\n"
    with (Path(context["params"]["folder"]) / "processes").open("a") as file:
        file.write(line)


def approved_batch(name: str, *, deferrable: bool) -> None:
    """As the example does it: plan with measuring, ask, render on one machine."""
    batch: dict[str, Any] = {
        "scene": "{{ params.folder }}/scene",
        "main": "shot.py",
        "frames": "{{ params.frames }}",
        "output": "{{ params.folder }}/out",
        "renderer": {"image": "python:3.12", "command": "{{ params.command }}"},
        "max_machines": 1,
        "poll_interval": 1,
        "retries": 3,
        "retry_delay": timedelta(seconds=15),
        "pre_execute": note_process,
    }
    with DAG(name, schedule=None, params=PARAMS, max_active_runs=50):
        plan = OctaPlanRenderOperator(task_id="plan", measure=True, **batch)
        approve = ApprovalOperator(
            task_id="approve",
            subject="{{ ti.xcom_pull(task_ids='plan')['text'] }}",
            body="{{ ti.xcom_pull(task_ids='plan')['markdown'] }}",
        )
        render = OctaRenderAnimationOperator(
            task_id="render", quote=plan.output, deferrable=deferrable, min_pause_s=10, **batch
        )
        plan >> approve >> render


approved_batch("approved_on_worker", deferrable=False)
approved_batch("approved_deferred", deferrable=True)
