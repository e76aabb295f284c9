"""What a command returns, as XCom: the JSON file that it writes, read on the worker and, deferred, on the way back."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator

WRITES = """echo '{"loss": 0.25, "epochs": 3}' > {{ params.name }}"""


def job(**arguments: Any) -> OctaRunJobOperator:
    defaults = {"task_id": "job", "image": "alpine:3", "poll_interval": 0.2, "result_file": "{{ params.name }}"}
    return OctaRunJobOperator(**(defaults | arguments))


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_the_value_that_the_command_wrote_is_what_the_task_returns(renting: Renting, deferrable: bool) -> None:
    with DAG("returns", schedule=None, params={"name": "metrics.json"}) as dag:

        @task
        def double(metrics: dict[str, Any]) -> float:
            return float(metrics["loss"]) * 2

        train = job(command=WRITES, deferrable=deferrable, multiple_outputs=True)
        double(train.output)
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("job") == {"loss": 0.25, "epochs": 3}
    assert ended.result("job", "epochs") == 3
    assert ended.result("double") == 0.5
    told = ended.result("job", "result")
    assert (told["outcome"], told["uuid"]) == ("succeeded", renting.sessions[0]["uuid"])
    assert "value" not in told
    assert ended.result("job", "cost")["cost_wei"] == told["cost_wei"]
    assert renting.running() == []


def test_a_success_that_left_no_value_fails_the_task_and_says_so(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    with DAG("leaves_none", schedule=None, params={"name": "metrics.json"}) as dag:
        job(command="echo trained")
    ended = run(dag)
    assert ended.state == "failed"
    assert ended.result("job", "result")["exit_code"] == 0
    log = capfd.readouterr()
    assert "the command succeeded, but left no result file metrics.json" in log.out + log.err
    assert renting.running() == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"result_file": "/tmp/x.json"}, "must be a file in the command's folder"),
        ({"result_file": True}, "result_file must be a path in the command's folder"),
        ({"result_file": "x.json", "via": "container"}, "result_file is read over SSH"),
        ({"result_file": "x.json", "wait_for_completion": False}, "wait_for_completion=False only starts a command"),
    ],
)
def test_what_cannot_be_returned_is_refused_when_parsed(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        job(command="true", **wrong)


def test_a_function_returns_what_it_returns() -> None:
    with DAG("function", schedule=None):

        @task.octa(image="python:3.12", result_file="x.json")
        def function() -> None: ...

        with pytest.raises(ValueError, match=r"result_file is not for @task\.octa"):
            function()
