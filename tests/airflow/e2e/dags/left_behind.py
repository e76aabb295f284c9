"""The DAGs that the tests kill: one job each, on a worker or deferred."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from airflow.providers.common.compat.sdk import DAG, Param, get_current_context

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.reap import OctaReapOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from airflow_provider.sensors.job import OctaJobSensor

PARAMS = {
    "command": Param("sleep 4; echo whole > $F/output", type="string"),
    "folder": Param("", type="string"),
}


def note_process(context: Any) -> None:
    """Tell the test which process runs this try."""
    line = f"{time.time()} {os.getpid()} {os.getppid()} {context['ti'].try_number}\n"
    with (Path(context["params"]["folder"]) / "processes").open("a") as file:
        file.write(line)


class SoonGivenUp(OctaRunJobOperator):
    """Airflow itself ends the wait after a moment, not half an hour after the job's last deadline."""

    def defer(self, *, timeout: timedelta | None = None, **arguments: Any) -> NoReturn:
        super().defer(timeout=timedelta(seconds=1), **arguments)
        raise AssertionError("unreachable: defer raises")


class GivenUpOnce(OctaRunJobOperator):
    """Airflow itself ends the wait of the first try after a few seconds."""

    def defer(self, *, timeout: timedelta | None = None, **arguments: Any) -> NoReturn:
        if get_current_context()["ti"].try_number == 1:
            timeout = timedelta(seconds=8)
        super().defer(timeout=timeout, **arguments)
        raise AssertionError("unreachable: defer raises")


class DeferredWhenTold(OctaRunJobOperator):
    """Defers once the test has made the file `defer`: its session is up by then."""

    def defer(self, **arguments: Any) -> NoReturn:
        told = Path(get_current_context()["params"]["folder"]) / "defer"
        while not told.exists():
            time.sleep(0.2)
        super().defer(**arguments)
        raise AssertionError("unreachable: defer raises")


def one_job(name: str, operator: type[OctaRunJobOperator] = OctaRunJobOperator, **arguments: Any) -> None:
    with DAG(name, schedule=None, params=PARAMS, max_active_runs=50):
        operator(
            **{
                "task_id": "job",
                "image": "alpine:3",
                # In two steps: the folder is a parameter inside a parameter.
                "command": "F={{ params.folder }}; {{ params.command }}",
                "retries": 1,
                "retry_delay": timedelta(seconds=1),
                "poll_interval": 1,
                "pre_execute": note_process,
            }
            | arguments
        )


one_job("on_worker", deferrable=False)
one_job("deferred", deferrable=True)
# On a busy machine the command has not begun when the first is over, and the test takes the next.
for seconds in (8, 60, 300):
    limit: dict[str, Any] = {"execution_timeout": timedelta(seconds=seconds), "retries": 0}
    one_job(f"worker_timeout_{seconds}", deferrable=False, **limit)
    one_job(f"deferred_timeout_{seconds}", deferrable=True, **limit)
one_job("deferred_soon_given_up", SoonGivenUp, deferrable=True, retries=0)
one_job("deferred_given_up_once", GivenUpOnce, deferrable=True)
one_job("deferred_kept", deferrable=True, on_kill_action="keep")
for name, in_trigger in (("deferred_files", False), ("deferred_files_in_trigger", True)):
    one_job(
        name,
        deferrable=True,
        command="{{ params.command }}; cp data/input output",
        inputs={"{{ params.folder }}/input": "data/input"},
        outputs={"output": "{{ params.folder }}/output"},
        files_in_trigger=in_trigger,
    )

one_job(
    "deferred_capped",
    DeferredWhenTold,
    deferrable=True,
    command="{{ params.command }}; echo whole > output",
    outputs={"output": "{{ params.folder }}/output"},
    # Its files are the workers'.
    files_in_trigger=False,
    max_cost_usd=0.05,
)

with DAG("sensed_in_turns", schedule=None, params=PARAMS):
    begin = OctaRunJobOperator(
        task_id="begin",
        image="alpine:3",
        command="F={{ params.folder }}; {{ params.command }}",
        wait_for_completion=False,
    )
    # A scheduler that queues the next look before it has heard of the last one's end fails the task.
    OctaJobSensor(task_id="job", job=begin.output, mode="reschedule", poke_interval=10, deferrable=False)

with DAG("reap", schedule=None):
    OctaReapOperator(task_id="reap", older_than_s=0)


def one_batch(name: str, **arguments: Any) -> None:
    """A batch of one machine, whose frames take their time until the test has made the file `go`."""
    with DAG(name, schedule=None, params=PARAMS, max_active_runs=50):
        OctaRenderAnimationOperator(
            task_id="job",
            scene="{{ params.folder }}/scene",
            main="shot.py",
            frames="1-100",
            output="{{ params.folder }}/out",
            renderer={
                "image": "python:3.12",
                "command": "python3 {scene} {frame} {output}/frame_{frame:04d}.png 4.0",
            },
            seconds_per_frame=4,
            max_machines=1,
            poll_interval=1,
            retries=1,
            retry_delay=timedelta(seconds=1),
            pre_execute=note_process,
            **arguments,
        )


one_batch("batch_on_worker", deferrable=False)
one_batch("batch_deferred", deferrable=True, min_pause_s=10)
