"""Another machine when one never comes up: on a worker, and deferred, where a worker comes back to start it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator

NEVER_READY = {"kind": "never_ready", "times": 1}


def job(**arguments: Any) -> OctaRunJobOperator:
    defaults = {"task_id": "job", "image": "alpine:3", "command": "echo hello", "poll_interval": 0.2}
    return OctaRunJobOperator(**(defaults | {"ready_timeout_s": 2, "start_attempts": 2} | arguments))


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("via", ["container", "ssh"])
def test_a_job_whose_machine_never_comes_up_runs_on_another(
    renting: Renting, tmp_path: Path, deferrable: bool, via: str, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {"command": "echo hello > out", "outputs": {"out": tmp_path / "out"}} if via == "ssh" else {}
    renting.emulator.faults(NEVER_READY)
    with DAG("tries_another", schedule=None) as dag:
        job(ready_timeout_s=6 if via == "ssh" else 2, deferrable=deferrable, start_attempts="{{ 2 }}", **files)
    ended = run(dag)
    assert ended.state == "success"
    result = ended.result("job")
    first, second = sorted(renting.sessions, key=lambda session: session["started_ms"])
    assert (result["node_id"], result["uuid"]) == (second["node_id"], second["uuid"])
    assert ended.result("job", "uuid") == second["uuid"]
    (tried,) = result["tried"]
    assert (tried["node_id"], tried["uuid"], tried["cost_wei"]) == (
        first["node_id"],
        first["uuid"],
        str(first["charge_wei"]),
    )
    assert int(result["cost_wei"]) == first["charge_wei"] + second["charge_wei"]
    assert ended.result("job", "cost")["cost_wei"] == result["cost_wei"]
    assert (renting.most_at_once, renting.running()) == (1, [])
    assert ended.ti("job").try_number == 1
    if via == "ssh":
        assert (tmp_path / "out").read_text() == "hello\n"
    log = capfd.readouterr()
    assert "The machine never came up (the session was not ready for the command in time" in log.out + log.err


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_when_none_comes_up_the_task_fails_with_all_on_its_bill(renting: Renting, deferrable: bool) -> None:
    renting.emulator.faults(NEVER_READY | {"times": None})
    with DAG("none_comes_up", schedule=None) as dag:
        job(deferrable=deferrable, ready_timeout_s=1)
    ended = run(dag)
    assert ended.tasks == {"job": "failed"}
    assert len({session["node_id"] for session in renting.sessions}) == len(renting.sessions) == 2
    assert (renting.most_at_once, renting.running()) == (1, [])
    billed = sum(session["charge_wei"] for session in renting.sessions)
    assert ended.result("job", "cost")["cost_wei"] == str(billed)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"start_attempts": 0}, "start_attempts must be a whole number from 1 to 10"),
        ({"start_attempts": "many"}, "start_attempts='many' is not a whole number"),
        ({"node_id": 1001}, "start_attempts=2 tries other machines, and node_id=1001 allows none"),
        ({"wait_for_completion": False}, "start_attempts tries another machine when one never comes up"),
    ],
)
def test_what_cannot_be_tried_is_refused_when_parsed(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        job(**wrong)
