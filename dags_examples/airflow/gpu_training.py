"""Train a model on a rented GPU, without a worker slot while it trains.

`train.py` (beside this file) and the data go to the machine over SSH, the training runs there, its log shows in the
task's log, and the model comes home. A retry carries on with the same machine and the same running command. When there
is nothing to learn from, the script ends with code 99, and the task is skipped.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account; with a path, the key lies on
workers and triggerer. Set `data` and `model` to paths that every worker sees.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider.operators.job import OctaRunJobOperator


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace", "training"],
    params={
        "data": Param("/data/points.csv", type="string", title="Data", description="A CSV file on the worker."),
        "model": Param("/data/model.json", type="string", title="Model", description="Where the model goes."),
        "epochs": Param(10, type="integer", minimum=1, title="Epochs"),
        "max_cost_usd": Param(5.0, type="number", title="Cost cap", description="USD; the job is stopped there."),
    },
)
def gpu_training() -> None:
    train = OctaRunJobOperator(
        task_id="train",
        image="pytorch/pytorch:latest",
        command="python3 train.py --data data.csv --model model.json --epochs {{ params.epochs }}",
        inputs={str(Path(__file__).with_name("train.py")): "train.py", "{{ params.data }}": "data.csv"},
        outputs={"model.json": "{{ params.model }}"},
        log_path="{{ params.model }}.log",
        gpu_model="4090",
        max_price_usd=1.5,
        max_cost_usd="{{ params.max_cost_usd }}",
        timeout_s=4 * 3600,
        skip_on_exit_code=99,
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=30),
    )

    @task
    def report(trained: dict[str, Any]) -> dict[str, Any]:
        model = json.loads(Path(trained["outputs"][0]).read_text(encoding="utf-8"))
        return {"loss": model["loss"], "cost_usd": trained["cost_usd"], "node_id": trained["node_id"]}

    report(train.output)


gpu_training()
