"""A job may make thousands of files; XCom and asset events name some of them, the task's log all."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.task_memory import TaskMemory
from airflow_provider.told_outputs import MOST_CHARS, MOST_NAMES, outputs_for_a_worker, told_outputs
from octa_provider import JobOutcome, JobState
from octa_provider.rental.terms import Terms

COUNT = 2 * MOST_NAMES + 20


def told(outputs: list[str], caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], list[str]]:
    with caplog.at_level(logging.INFO):
        result = told_outputs({"outputs": outputs, "exit_code": 0}, logging.getLogger("told").info)
    return result, "\n".join(record.getMessage() for record in caplog.records).splitlines()


@pytest.mark.parametrize("deferrable", [False, True])
def test_xcom_holds_some_names_and_how_many_there_are(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str], deferrable: bool
) -> None:
    with DAG("many_outputs", schedule=None) as dag:
        OctaRunJobOperator(
            task_id="job",
            image="alpine:3",
            command=f"mkdir f; i=0; while [ $i -lt {COUNT} ]; do echo > f/$i.txt; i=$((i+1)); done",
            outputs={"f": tmp_path / "f"},
            poll_interval=0.2,
            deferrable=deferrable,
        )
    ended = run(dag)
    assert ended.state == "success"
    result = ended.result("job")
    assert (len(result["outputs"]), result["outputs_count"]) == (MOST_NAMES, COUNT)
    assert len(json.dumps(result)) < 2 * MOST_CHARS
    output = "".join(capfd.readouterr())
    missing = [path for path in (tmp_path / "f").iterdir() if str(path) not in output]
    assert (len(list((tmp_path / "f").iterdir())), missing) == (COUNT, [])


def test_what_the_next_try_is_told_does_not_grow_with_the_files() -> None:
    kept: dict[str, Any] = {}

    class Store:
        get, set = staticmethod(kept.get), staticmethod(kept.__setitem__)

    terms = Terms("u", key="airflow/d/r/t")
    state = JobState("airflow/d/r/t", terms, "n", True, 60.0, 0.0, 0.0, outputs={"f": "/data/f"})
    memory = TaskMemory(cast("Any", {"task_state_store": Store}))
    for files in ((), tuple(f"/data/f/{number}.txt" for number in range(10_000))):
        memory.keep_job(state.ending(JobOutcome.SUCCEEDED, exit_code=0).having(collected=files, value="x" * 200_000))
        assert len(json.dumps(kept)) < 2_000
    earlier = memory.job()
    assert earlier is not None
    assert (earlier.outcome, earlier.exit_code, earlier.outputs) == (JobOutcome.SUCCEEDED, 0, {"f": "/data/f"})


def test_a_function_that_made_many_files_still_returns(renting: Renting, tmp_path: Path) -> None:
    with DAG("many_outputs_of_a_function", schedule=None) as dag:

        @task.octa(image="python:3.12", outputs={"f": str(tmp_path / "f")}, poll_interval=0.2)
        def make(count: int) -> int:
            from pathlib import Path

            Path("f").mkdir()
            for number in range(count):
                (Path("f") / f"{number}.txt").write_text("x")
            return count

        make(COUNT)
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("make") == COUNT


def test_a_few_names_are_told_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    result, lines = told(["a.png", "b.png"], caplog)
    assert result == {"outputs": ["a.png", "b.png"], "outputs_count": 2, "exit_code": 0}
    assert lines == []


def test_long_names_are_fewer(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"{number:04}" + "x" * 1000 for number in range(20)]
    result, lines = told(names, caplog)
    assert result["outputs"] == names[:7]
    assert result["outputs_count"] == 20
    assert lines[1:-1] == names


def test_a_name_of_a_stranger_folds_no_log_and_makes_no_line(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"{number}" for number in range(MOST_NAMES)] + ["::endgroup::", "a\nb"]
    _, lines = told(names, caplog)
    assert len(lines) == len(names) + 2
    assert lines.count("::endgroup::") == 1


def test_a_trigger_hands_a_worker_all_outputs_unless_they_are_very_many(caplog: pytest.LogCaptureFixture) -> None:
    few = {"outputs": [f"/out/{n:04}.png" for n in range(200)]}
    assert outputs_for_a_worker(few, print) == few
    many = outputs_for_a_worker({"outputs": [f"/out/{n:04}.png" for n in range(20_000)]}, lambda *line: None)
    assert (len(many["outputs"]), many["outputs_count"]) == (MOST_NAMES, 20_000)
    # What a worker then tells of it is the same.
    assert told_outputs(many, print) == many
