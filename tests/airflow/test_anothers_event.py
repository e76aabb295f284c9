"""A task is told what another one waits for: in SQLite a trigger gets the id of one that has been deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow_runs import Renting, run
from quick_batch import quick_batch, whole_frames

from airflow_provider.job_json import job_to_json
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.sensors.job import OctaJobSensor
from airflow_provider.sensors.machine import OctaMachineAvailableSensor
from airflow_provider.sensors.session import OctaSessionReadySensor
from octa_provider import JobSpec

SENT: list[str] = []


def misled(operator: type[Any], of: dict[str, Any]) -> type[Any]:
    """The operator, whose task is told another one's event, once, before its own."""

    class Misled(operator):  # type: ignore[misc]
        def execute_resumed(self, context: Any, event: dict[str, Any] | None = None) -> Any:
            if not SENT:
                SENT.append(self.task_id)
                event = of
            return super().execute_resumed(context, event)

    return Misled


@pytest.fixture(autouse=True)
def sent() -> None:
    SENT.clear()


@pytest.fixture
def of_another(renting: Renting) -> dict[str, Any]:
    """The event by which the triggerer tells that a job of another task has ended."""
    state = renting.client().jobs.start(JobSpec(image="alpine:3", command="echo another"), "another/task")
    result = renting.client().jobs.run(JobSpec(image="alpine:3", command="echo another"), "another/task", poll_s=0.2)
    return {"what": "ended", "job": job_to_json(state), "result": result.to_json(), "tail": ["another"]}


@pytest.mark.parametrize("what", ["ended", "exited", "ready", "unwatched", "elsewhere", "deadline", "broken"])
def test_a_job_goes_on_with_its_own(renting: Renting, of_another: dict[str, Any], tmp_path: Path, what: str) -> None:
    event = {"message": "not reached"} | of_another | {"what": what}
    with DAG("misled_job", schedule=None) as dag:
        misled(OctaRunJobOperator, event)(
            task_id="job",
            image="alpine:3",
            command=f"echo run >> {tmp_path}/runs; sleep 2; echo whole > {tmp_path}/out",
            poll_interval=0.2,
            deferrable=True,
            # It comes back for the first time when the machine is up, and the command is to be begun.
            via="ssh",
            inputs={f"{tmp_path}/input": "input"},
            files_in_trigger=False,
        )
    (tmp_path / "input").touch()
    ended = run(dag)
    assert ended.state == "success"
    assert (tmp_path / "runs").read_text() == "run\n"
    assert (tmp_path / "out").read_text() == "whole\n"
    assert SENT == ["job"]
    assert ended.result("job")["uuid"] != of_another["job"]["rental"]["uuid"]
    assert len([one for one in renting.sessions if "misled_job" in one["rental_key"]]) == 1
    assert renting.running() == []


def test_a_job_that_waits_for_a_machine_takes_no_others_end_for_its_own(
    renting: Renting, of_another: dict[str, Any], tmp_path: Path
) -> None:
    empty = {"kind": "garbage", "method": "GET", "path": "^/services/mr$", "body": "[]", "times": 1}
    renting.emulator.faults(empty)
    with DAG("misled_waiting", schedule=None) as dag:
        misled(OctaRunJobOperator, of_another)(
            task_id="job",
            image="alpine:3",
            command=f"echo whole > {tmp_path}/out",
            poll_interval=0.2,
            deferrable=True,
            wait_for_machine_s=600,
        )
    ended = run(dag)
    assert (ended.state, SENT) == ("success", ["job"])
    assert (tmp_path / "out").read_text() == "whole\n"
    assert ended.result("job")["uuid"] != of_another["job"]["rental"]["uuid"]
    assert renting.running() == []


def test_a_batch_goes_on_with_its_own(renting: Renting, of_another: dict[str, Any], tmp_path: Path) -> None:
    with DAG("misled_batch", schedule=None) as dag:
        misled(OctaRenderAnimationOperator, of_another | {"what": "deadline"})(
            task_id="render", deferrable=True, min_pause_s=10, **quick_batch(tmp_path, "1-30", frame_s=1.0)
        )
    ended = run(dag)
    assert ended.state == "success"
    assert whole_frames(tmp_path) == list(range(1, 31))
    assert SENT == ["render"]
    assert renting.running() == []


def test_sensors_wait_on_for_their_own(renting: Renting, of_another: dict[str, Any]) -> None:
    with DAG("misled_sensors", schedule=None) as dag:
        begun = OctaRunJobOperator(
            task_id="begin", image="alpine:3", command="sleep 3", poll_interval=0.2, wait_for_completion=False
        )
        misled(OctaJobSensor, of_another)(task_id="end", job=begun.output, poke_interval=0.2, deferrable=True)
    ended = run(dag)
    assert (ended.state, SENT) == ("success", ["end"])
    assert ended.result("end")["uuid"] == ended.result("begin")["uuid"]
    assert renting.running() == []


@pytest.mark.parametrize("what", ["ready", "late", "failed"])
def test_a_session_is_waited_for_until_it_is_ready_itself(
    renting: Renting, of_another: dict[str, Any], what: str
) -> None:
    renting.emulator.faults({"kind": "slow_start", "seconds": 3})
    uuid = of_another["job"]["rental"]["uuid"]
    event = {"uuid": uuid, "what": what, "message": "not its own", "session": {"uuid": uuid}}
    with DAG("misled_session", schedule=None) as dag:
        start = OctaStartMachineOperator(task_id="start", image="alpine:3")
        misled(OctaSessionReadySensor, event)(task_id="ready", session=start.output, poke_interval=0.2, deferrable=True)
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("ready")["uuid"] == ended.result("start")["uuid"]
    renting.emulator.end_session(ended.result("start")["uuid"])


def test_a_machine_is_waited_for_when_a_job_has_ended(renting: Renting, of_another: dict[str, Any]) -> None:
    with DAG("misled_market", schedule=None) as dag:
        misled(OctaMachineAvailableSensor, of_another)(
            task_id="machine", poke_interval=0.2, deferrable=True, timeout=600.0
        )
    nodes = renting.emulator
    nodes.faults({"kind": "status", "status": 200, "path": "/services/mr", "body": [], "method": "GET", "times": 1})
    ended = run(dag)
    assert (ended.state, SENT) == ("success", ["machine"])
    assert ended.result("machine")["node_id"]
