"""A task is cleared while it runs, over the REST API of Airflow 2, which answers 200 and tells nobody.

The task runs in a worker's process of its own, with no scheduler that might take it for a zombie just then.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from airflow.utils.session import create_session
from airflow_command import airflow_command
from airflow_runs import Renting
from dag_to_kill import AT, batch_to_kill, dag_to_kill, start_to_kill
from forked import forked
from quick_batch import quick_batch
from sqlalchemy.exc import OperationalError

pytestmark = pytest.mark.skipif(find_spec("airflow.sdk") is not None, reason="Airflow 3 carries a clear out")

HERE = Path(__file__).parent
PATIENCE_S = 600.0
RUN_ID = "lost_clear"
#: In the file of a DAG: nobody looks for a lost clear but when the task ends, or defers.
NO_LOOKS = "from airflow_provider import lost_clear\nlost_clear.LOOK_S = 86400.0"


def until(what: str, ask: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ask():
        assert time.monotonic() < deadline, f"{what}:\n{log.read_text()[-6000:]}"
        time.sleep(0.2)


def unlocked(act: Callable[[], Any]) -> Any:
    """Act on SQLite's file, which another process may have for itself for a while."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def new_run(dag: Any) -> None:
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    dag.create_dagrun(
        state=DagRunState.RUNNING, execution_date=AT, run_id=RUN_ID, run_type=DagRunType.MANUAL, data_interval=(AT, AT)
    )


def clear(dag: Any) -> None:
    """As `post_clear_task_instances` does."""
    from airflow.models.taskinstance import clear_task_instances

    with create_session() as session:
        found = dag.clear(dry_run=True, task_ids=["job"], start_date=AT, end_date=AT, only_failed=False)
        assert len(found) == 1
        clear_task_instances(found, session, dag=dag, dag_run_state=False)


def set_worker_of_earlier_try(dag: Any) -> None:
    from airflow.models.taskinstancehistory import TaskInstanceHistory

    with create_session() as session:
        session.query(TaskInstanceHistory).filter_by(dag_id=dag.dag_id).update({"job_id": 0})


def looks(renting: Renting) -> int:
    return int(renting.emulator.ledger(requests=False)["request_counts"].get("GET /sessions", 0))


def state(dag: Any) -> str:
    from airflow.models.taskinstance import TaskInstance

    with create_session() as session:
        return str(session.query(TaskInstance.state).filter_by(dag_id=dag.dag_id, run_id=RUN_ID).scalar())


@contextmanager
def at_work(
    tmp_path: Path, arguments: dict[str, Any], file_says: str = "", make: Callable[..., Any] = dag_to_kill
) -> Iterator[tuple[Any, Callable[..., None]]]:
    """The task at work on a worker of its own; and what waits for something of it, at last for its end."""
    arguments = {"task_id": "job", "retries": 0} | arguments
    dag = make(f"lost_clear_{tmp_path.name}", **arguments)
    file, log = tmp_path / "lost_clear_dag.py", tmp_path / "log"
    # Airflow reads only files that name it.
    text = f"# airflow\nfrom dag_to_kill import {make.__name__}\n{file_says}\n"
    file.write_text(f"{text}dag = {make.__name__}({dag.dag_id!r}, **{arguments!r})\n")
    unlocked(lambda: new_run(dag))
    # Killed only after what the conftest says, wherever the machine is busy.
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    }
    command = ["tasks", "run", "--local", "--subdir", str(file), dag.dag_id, "job", RUN_ID]
    with forked(airflow_command, json.dumps(command), log, env) as process:

        def is_over() -> bool:
            return process.exitcode is not None

        def wait_for(what: str, ask: Callable[[], object] | None = None) -> None:
            until(what, (lambda: ask() or is_over()) if ask else is_over, log)
            assert ask is None or ask(), log.read_text()[-6000:]

        try:
            yield dag, wait_for
        finally:
            # What runs the task ends with it.
            process.terminate()
            process.join()


def log_of(dag: Any) -> str:
    logs = Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"], f"dag_id={dag.dag_id}").rglob("*.log")
    return "".join(file.read_text() for file in logs)


def test_a_clear_that_airflow_loses_ends_the_task_all_the_same(renting: Renting, tmp_path: Path) -> None:
    arguments = {"command": f"touch {tmp_path}/begun; sleep 3600", "deferrable": False}
    with at_work(tmp_path, arguments) as (dag, wait_for):
        wait_for("its command should begin", (tmp_path / "begun").exists)
        unlocked(lambda: clear(dag))
        wait_for("it should end")
    assert unlocked(lambda: state(dag)) == "up_for_retry"
    assert log_of(dag).count("was cleared over the REST API") == 1
    assert renting.running() == []
    assert len(renting.sessions) == 1


def test_a_task_that_is_cleared_again_while_it_ends_has_not_failed(renting: Renting, tmp_path: Path) -> None:
    # So that it takes its time to end.
    renting.emulator.faults({"kind": "delay", "method": "POST", "path": "/stop$", "seconds": 3})
    arguments = {"command": f"touch {tmp_path}/begun; sleep 3600", "deferrable": False}
    with at_work(tmp_path, arguments) as (dag, wait_for):
        wait_for("its command should begin", (tmp_path / "begun").exists)
        unlocked(lambda: clear(dag))
        wait_for("it should be ended", lambda: unlocked(lambda: state(dag)) != "running")
        unlocked(lambda: clear(dag))
        wait_for("it should end")
    # Where everything stands still for long, it had ended before.
    assert unlocked(lambda: state(dag)) in {"up_for_retry", "None"}
    assert renting.running() == []


@pytest.mark.parametrize("code", [0, 3])
def test_a_clear_at_the_tasks_end_is_not_lost_either(renting: Renting, tmp_path: Path, code: int) -> None:
    command = f"touch {tmp_path}/begun; while ! [ -e {tmp_path}/cleared ]; do sleep 0.2; done; exit {code}"
    with at_work(tmp_path, {"command": command, "deferrable": False}, NO_LOOKS) as (dag, wait_for):
        wait_for("its command should begin", (tmp_path / "begun").exists)
        unlocked(lambda: clear(dag))
        if code:
            # As it was cleared on the worker that it had before it deferred.
            unlocked(lambda: set_worker_of_earlier_try(dag))
        (tmp_path / "cleared").touch()
        wait_for("it should end")
    assert unlocked(lambda: state(dag)) == "up_for_retry"
    assert renting.running() == []


def cleared_while_it_starts(
    renting: Renting, tmp_path: Path, arguments: dict[str, Any], make: Callable[..., Any] = dag_to_kill
) -> str:
    """The state of a task that was cleared while it started, once its process has ended."""
    # A start goes on asking for as long as the account's sessions can't be told.
    renting.emulator.faults({"kind": "status", "status": 503, "method": "GET", "path": "^/sessions$"})
    asked = looks(renting)
    with at_work(tmp_path, arguments, NO_LOOKS, make) as (dag, wait_for):
        wait_for("it should start", lambda: looks(renting) > asked)
        unlocked(lambda: clear(dag))
        renting.emulator.clear_faults()
        wait_for("it should end")
    return str(unlocked(lambda: state(dag)))


@pytest.mark.parametrize("kind", ["start", "batch"])
def test_whatever_rents_heeds_a_clear_while_it_starts(renting: Renting, tmp_path: Path, kind: str) -> None:
    make = {"start": start_to_kill, "batch": batch_to_kill}[kind]
    arguments = {} if kind == "start" else quick_batch(tmp_path, "1-2")
    assert cleared_while_it_starts(renting, tmp_path, arguments, make) == "up_for_retry"
    assert renting.running() == []


@pytest.mark.parametrize("on_kill_action", ["stop", "keep"])
def test_a_task_that_was_cleared_does_not_defer(renting: Renting, tmp_path: Path, on_kill_action: str) -> None:
    arguments = {"command": "sleep 3600", "deferrable": True, "on_kill_action": on_kill_action}
    arguments |= {"via": "ssh", "outputs": {"out": str(tmp_path / "out")}}
    assert cleared_while_it_starts(renting, tmp_path, arguments) == "up_for_retry"
    assert len(renting.running()) == (on_kill_action == "keep")
    assert list(tmp_path.glob(".octa-mark-*")) == []
    for uuid in renting.running():
        renting.emulator.end_session(uuid)
