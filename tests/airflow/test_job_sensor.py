"""A job that one task starts and another waits for: in each mode, and however the wait ends."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import airflow
import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow_runs import Renting, Run, run
from waited_for import is_followed, time_is_over_once

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.sensors.job import OctaJobSensor

MODES = {
    "poke": {"deferrable": False},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
    "deferred": {"deferrable": True},
}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MODES[request.param]


def begun_and_waited_for(name: str, command: str, mode: dict[str, Any], **arguments: Any) -> Run:
    with DAG(name, schedule=None) as dag:
        begin = OctaRunJobOperator(task_id="begin", image="alpine:3", command=command, wait_for_completion=False)
        OctaJobSensor(
            **{"task_id": "end", "job": begin.output, "poke_interval": 0.3, "timeout": 800} | mode | arguments
        )
    return run(dag)


def test_the_sensor_returns_what_the_operator_would_have(
    renting: Renting, mode: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    ended = begun_and_waited_for("sensed", "echo one; sleep 1; echo two", mode)
    assert ended.state == "success"
    begun, result = ended.result("begin"), ended.result("end")
    assert begun["uuid"] == result["uuid"] == renting.sessions[0]["uuid"]
    assert result["outcome"] == "succeeded"
    assert result["key"].endswith("/begin/-1")
    assert int(result["cost_wei"]) > 0
    log = "".join(capfd.readouterr())
    assert "[job] one" in log
    assert "[job] two" in log
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_no_line_is_shown_twice(renting: Renting, mode: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    """In mode `reschedule` each look is a task of its own, which would read the log from its start."""
    if mode.get("mode") == "reschedule" and airflow.__version__.startswith("3.0."):
        # `TaskInstanceOperations.get_reschedule_start_date` of its client takes the answer as it is. A worker does not:
        # tests/airflow/e2e/test_killed.py.
        pytest.skip("dag.test() of Airflow 3.0 gives a sensor's second look its start as text")
    command = "for i in 1 2 3; do echo line-$i-of-it; sleep 1; done"
    assert begun_and_waited_for("shown_once", command, mode).state == "success"
    shown = [line for line in capfd.readouterr().out.splitlines() if "[job] line-" in line]
    for number in (1, 2, 3):
        assert sum(f"[job] line-{number}-of-it" in line for line in shown) == 1


def test_a_job_that_fails_fails_the_sensor_with_its_last_lines(
    renting: Renting, mode: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    ended = begun_and_waited_for("sensed_failing", "echo the scene is broken; exit 3", mode)
    assert ended.tasks == {"begin": "success", "end": "failed"}
    assert "the scene is broken" in "".join(capfd.readouterr()).split("Its last lines:")[1]
    assert renting.running() == []


def test_an_exit_code_can_skip_the_sensor(renting: Renting, mode: dict[str, Any]) -> None:
    ended = begun_and_waited_for("sensed_skipping", "exit 99", mode, skip_on_exit_code=99)
    assert ended.tasks == {"begin": "success", "end": "skipped"}
    assert renting.running() == []


def test_a_sensor_that_waits_too_long_stops_the_job(renting: Renting, mode: dict[str, Any]) -> None:
    ended = begun_and_waited_for("sensed_late", "sleep 600", mode, timeout=1.5)
    assert ended.tasks == {"begin": "success", "end": "failed"}
    assert renting.running() == []


@pytest.mark.parametrize("which", ["poke", "deferred"])
def test_a_sensors_execution_timeout_stops_the_job(renting: Renting, tmp_path: Path, which: str) -> None:
    """Airflow 3 does not count it while the sensor is deferred: the trigger does."""
    asked: list[int] = []

    def sensed() -> bool:
        """Not the task that began it."""
        return bool(asked) and is_followed(renting, tmp_path / "begun", after=asked[0])

    with time_is_over_once(sensed, deferred=which == "deferred"):
        ended = begun_and_waited_for(
            f"sensed_timeout_{which}",
            f"touch {tmp_path}/begun; sleep 3600",
            MODES[which],
            execution_timeout=timedelta(hours=1),
            # Longer than the other one, which is told first.
            timeout=7200,
            pre_execute=lambda context: asked.append(len(renting.emulator.ledger()["requests"])),
        )
    assert ended.ti("end").state == "failed"
    assert renting.running() == []


def test_a_sensor_that_is_killed_stops_the_job(renting: Renting) -> None:
    ended = begun_and_waited_for("sensed_killed", "sleep 600", {"deferrable": False, "timeout": 0.1, "retries": 0})
    assert ended.tasks["end"] == "failed"
    with renting.client() as client:
        from airflow_provider.job_json import job_to_json
        from octa_provider import JobSpec

        state = client.jobs.start(JobSpec(image="alpine:3", command="sleep 600"), "tests/sensed/killed")
    sensor = OctaJobSensor(task_id="end", job={"job": job_to_json(state)})
    assert sensor.poke({}) is False  # type: ignore[typeddict-item]
    sensor.on_kill()
    assert renting.running() == []
