"""What a command returns, as XCom: the JSON file that it writes, read on the worker and, deferred, on the way back."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run

from airflow_provider.odd_value import read_json, why_not_carried
from airflow_provider.operators.job import OctaRunJobOperator
from octa_provider.text.carried import MOST_LEVELS, carried

try:
    from airflow.sdk.serde import deserialize, serialize
except ImportError:  # Before Airflow 3.2.
    from airflow.serialization.serde import deserialize, serialize

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


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_value_that_looks_like_an_object_of_airflows_fails_the_task_and_says_so(
    renting: Renting, deferrable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """The triggerer could not hand it over, and tried for ever."""
    with DAG("no_object", schedule=None) as dag:
        job(
            command="""echo '{"a": [{"__classname__": "x.Y", "__version__": 1}]}' > out""",
            result_file="out",
            deferrable=deferrable,
        )
    ended = run(dag)
    assert ended.tasks == {"job": "failed"}
    assert ended.result("job", "result")["exit_code"] == 0
    log = capfd.readouterr()
    assert "is no value for Airflow: it has a key __classname__" in log.out + log.err
    assert renting.running() == []


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"__type": "dict", "__var": {"b": 1}}},
        [{"__type": "set", "__var": [1]}],
        {"__type": "no such type", "__var": 1},
        {"__id__": 5},
        [[{"__classname__": "builtins.tuple", "__version__": 1, "__data__": [1]}]],
    ],
)
def test_what_airflow_would_make_something_else_of_is_not_carried(value: Any) -> None:
    assert why_not_carried(value) is not None
    with suppress(Exception):
        assert there_and_back(value) != value


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"__type": "tile", "__version__": 2, "__data__": 3, "": {"a b": ["ü", -0.5, True]}},
        {"__var": [1], "_id_": "__classname__"},
        ["__id__", {"x": []}, {}],
    ],
)
def test_what_airflow_brings_back_as_it_was_is_carried(value: Any) -> None:
    assert why_not_carried(value) is None
    assert there_and_back(value) == value


def test_what_is_no_json_or_nested_too_deep_is_not_carried() -> None:
    deep: Any = 1
    for _ in range(MOST_LEVELS):
        deep = [deep]
    assert carried(deep) == deep
    assert (why_not_carried(deep), why_not_carried({"a": deep})) == (None, "it is nested deeper than 40 levels")
    assert why_not_carried([float("inf")]) is not None
    with pytest.raises(ValueError, match="it holds NaN, which is no JSON"):
        read_json("[NaN]")


def there_and_back(value: Any) -> Any:
    return deserialize(json.loads(json.dumps(serialize(value))))


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
