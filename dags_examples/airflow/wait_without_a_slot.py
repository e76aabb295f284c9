"""Wait for rented machines without a worker slot, in both ways that the waiting can be a task of its own.

`serve`, `ready`, `ask`, `stop`: a machine runs a service until somebody has asked it. `ready` is deferred while the
machine comes up. `begin`, `ended`: a job is started by one task, which ends at once, and waited for by another one,
which is deferred, shows the job's log and stops its machine. A thousand such waits share one request an interval.

Needs a connection `octa_default` of the type OctaSpace, and a triggerer that runs.
"""

from __future__ import annotations

from typing import Any
from urllib.request import urlopen

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.job import OctaJobSensor
from airflow_provider.sensors.session import OctaSessionReadySensor


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace"],
    params={"max_price_usd": Param(1.0, type="number", title="Price cap", description="USD per hour and machine.")},
)
def wait_without_a_slot() -> None:
    serve = OctaStartMachineOperator(
        task_id="serve",
        image="python:3.12",
        start_command='echo "it works" > index.html; python3 -m http.server "${PORT:-8000}"',
        http_ports=[8000],
        max_price_usd="{{ params.max_price_usd }}",
    )
    ready = OctaSessionReadySensor(task_id="ready", session=serve.output, deferrable=True, poke_interval=5)

    @task(retries=3)
    def ask(session: dict[str, Any]) -> str:
        with urlopen(session["urls"]["8000"], timeout=30) as answer:
            return str(answer.read().decode().strip())

    stop = OctaStopSessionOperator(task_id="stop", session=serve.output).as_teardown(
        setups=serve, on_failure_fail_dagrun=True
    )
    serve >> ready >> ask(ready.output) >> stop

    begin = OctaRunJobOperator(
        task_id="begin",
        image="ubuntu:24.04",
        command="for part in 1 2 3; do echo part $part of 3; sleep 1; done",
        max_price_usd="{{ params.max_price_usd }}",
        timeout_s=600,
        wait_for_completion=False,
    )
    OctaJobSensor(task_id="ended", job=begin.output, deferrable=True, poke_interval=5)


wait_without_a_slot()
