"""The process that runs a DAG is killed with -9; the next try of the same run finds what the first one left.

On each Airflow, by `dag.test()`: the trigger of a deferred task runs in the same process there.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from importlib.util import find_spec
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import airflow
import pytest
from airflow_runs import Renting, run
from dag_to_kill import AT, dag_to_kill, first_run
from forked import forked
from on_a_loop import cancelled, event_of, on_a_loop, once_watched
from test_triggers import begun_job, job_trigger, stopped
from waited_for import PATIENCE_S, is_followed, once, once_there, time_is_over_once, until

IS_THREE = find_spec("airflow.sdk") is not None
BOTH = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


def first_try(log: Path, name: str, **arguments: Any) -> AbstractContextManager[ForkServerProcess]:
    """The first try, in a process that is killed at the end of the block."""
    return forked(first_run, json.dumps({"name": name} | arguments), log)


def process_until(process: ForkServerProcess, log: Path, what: Callable[[], object]) -> None:
    """Wait until something is so, while the process still runs."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert process.is_alive(), log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def once_killed(folder: Path) -> str:
    """A command that waits until the test has killed the first try, however long that takes."""
    return once_there(folder / "killed")


@BOTH
def test_killed_while_running(renting: Renting, tmp_path: Path, deferrable: bool) -> None:
    name, log = f"killed_running_{deferrable}", tmp_path / "log"
    arguments = {
        "command": f"echo run >> {tmp_path}/runs; {once_killed(tmp_path)}; echo whole > {tmp_path}/output",
        "deferrable": deferrable,
    }
    with first_try(log, name, **arguments) as process:
        process_until(process, log, (tmp_path / "runs").exists)
        if deferrable:
            process_until(process, log, lambda: "running trigger in line" in log.read_text())
    assert len(renting.running()) == 1
    (tmp_path / "killed").touch()
    ended = run(dag_to_kill(name, **arguments), at=AT)
    assert ended.state == "success"
    assert ended.result("job")["attempts"] == 2
    assert (tmp_path / "runs").read_text() == "run\n"
    assert (tmp_path / "output").read_text() == "whole\n"
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_killed_while_starting(renting: Renting, tmp_path: Path) -> None:
    """The session is rented, and the answer never reaches the process."""
    log, arguments = tmp_path / "log", {"command": f"echo whole >> {tmp_path}/output"}
    renting.emulator.faults(
        {"kind": "delay", "method": "POST", "path": "/services/mr", "seconds": 3600, "after_effect": True}
    )
    with first_try(log, "killed_starting", **arguments) as process:
        process_until(process, log, renting.running)
    renting.emulator.clear_faults()
    ended = run(dag_to_kill("killed_starting", **arguments), at=AT)
    assert ended.state == "success"
    assert (tmp_path / "output").read_text() == "whole\n"
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_what_is_not_durable_is_stopped_before_it_begins_anew(renting: Renting, tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = {
        "command": f"echo run >> {tmp_path}/runs; test $(wc -l < {tmp_path}/runs) = 2 || sleep 600; echo whole",
        "durable": False,
        "deferrable": True,
    }
    with first_try(log, "killed_not_durable", **arguments) as process:
        process_until(process, log, (tmp_path / "runs").exists)
    ended = run(dag_to_kill("killed_not_durable", **arguments), at=AT)
    assert ended.state == "success"
    assert ended.result("job")["attempts"] == 1
    assert (tmp_path / "runs").read_text() == "run\nrun\n"
    assert len(renting.sessions) == 2
    assert renting.most_at_once == 1
    assert renting.running() == []


def test_files_of_a_killed_try_come_with_the_next(renting: Renting, tmp_path: Path) -> None:
    log, target = tmp_path / "log", tmp_path / "result" / "out"
    (tmp_path / "in").write_text("whole")
    arguments = {
        "command": f"echo run >> {tmp_path}/runs; {once_killed(tmp_path)}; cp data/in out",
        "inputs": {str(tmp_path / "in"): "data/in"},
        "outputs": {"out": str(target)},
        "deferrable": True,
    }
    with first_try(log, "killed_files", **arguments) as process:
        process_until(process, log, (tmp_path / "runs").exists)
    (tmp_path / "killed").touch()
    ended = run(dag_to_kill("killed_files", **arguments), at=AT)
    assert ended.state == "success"
    assert (tmp_path / "runs").read_text() == "run\n"
    assert target.read_text() == "whole"
    assert len(renting.sessions) == 1
    assert renting.running() == []


@BOTH
def test_an_api_that_is_gone_for_a_while_ends_no_job(renting: Renting, tmp_path: Path, deferrable: bool) -> None:
    def outage() -> None:
        renting.emulator.faults({"kind": "drop_before", "path": "*", "method": "*", "times": None})
        (tmp_path / "away").touch()
        # The command ends meanwhile, of which nobody hears.
        until((tmp_path / "output").exists)
        until(lambda: renting.emulator.request("GET", "/_emulator/faults").json()[0]["met"] >= 3)
        renting.emulator.clear_faults()

    thread = once((tmp_path / "begun").exists, outage)
    ended = run(
        dag_to_kill(
            f"outage_{deferrable}",
            command=f"touch {tmp_path}/begun; {once_there(tmp_path / 'away')}; echo whole > {tmp_path}/output",
            deferrable=deferrable,
        )
    )
    thread.join()
    assert ended.state == "success"
    assert (tmp_path / "output").read_text() == "whole\n"
    assert len(renting.sessions) == 1
    assert renting.running() == []


@BOTH
def test_a_timeout_and_then_a_retry_run_one_at_a_time(renting: Renting, tmp_path: Path, deferrable: bool) -> None:
    dag = dag_to_kill(
        f"timeout_{deferrable}",
        command=f"test -e {tmp_path}/again || {{ touch {tmp_path}/again; sleep 3600; }}; echo whole",
        deferrable=deferrable,
        execution_timeout=timedelta(hours=1),
        retries=1,
        retry_delay=timedelta(0),
    )
    with time_is_over_once(lambda: is_followed(renting, tmp_path / "again"), deferred=deferrable):
        ended = run(dag)
    if ended.state == "running":
        # On Airflow 2 the timeout passes through `dag.test()`: the same run goes on when it is asked for again.
        ended = run(dag, at=ended.dag_run.execution_date)
    if deferrable and airflow.__version__.startswith("3.0."):
        # Its retry takes the first try's end for its own (apache/airflow#56704).
        assert ended.state == "failed"
        assert len(renting.sessions) == 1
    else:
        assert ended.state == "success"
        assert len(renting.sessions) == 2
    assert renting.most_at_once == 1
    assert renting.running() == []


@pytest.mark.skipif(
    IS_THREE, reason="a trigger of Airflow 3 asks its triggerer, tried in tests/airflow/e2e/test_cancelled.py"
)
@pytest.mark.parametrize(
    ("state", "stops"),
    [
        ("deferred", False),  # The triggerer shuts down.
        ("failed", True),
        ("success", True),
        (None, True),  # It was cleared.
        ("up_for_retry", True),
    ],
)
def test_a_cancel_is_told_from_a_users_act_by_the_tasks_row(
    renting: Renting, tmp_path: Path, state: str | None, stops: bool
) -> None:
    """Airflow 2 cancels a trigger for either, and gives no reason."""
    from airflow.utils.session import create_session

    ended = run(dag_to_kill("cancelled", command="true"))
    ti = ended.ti("job")
    with create_session() as session:
        row = session.merge(ti)
        row.state = state
    trigger = job_trigger(begun_job(renting, "cancelled"))
    trigger.task_instance = ti

    async def main() -> None:
        task = asyncio.create_task(event_of(trigger))
        await once_watched(renting)
        await cancelled([task])

    on_a_loop(main)
    assert (renting.running() == []) is stops
    stopped(renting, *renting.running())
