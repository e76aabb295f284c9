"""A task is cleared while it runs, over the REST API of Airflow 2, which answers 200 and tells nobody.

The task runs in a worker's process of its own, with no scheduler that might take it for a zombie just then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from airflow.utils.session import create_session
from airflow_runs import Renting
from dag_to_kill import AT, dag_to_kill
from sqlalchemy.exc import OperationalError

pytestmark = pytest.mark.skipif(find_spec("airflow.sdk") is not None, reason="Airflow 3 carries a clear out")

HERE = Path(__file__).parent
PATIENCE_S = 600.0
RUN_ID = "lost_clear"


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


def state(dag: Any) -> str:
    from airflow.models.taskinstance import TaskInstance

    with create_session() as session:
        return str(session.query(TaskInstance.state).filter_by(dag_id=dag.dag_id, run_id=RUN_ID).scalar())


def test_a_clear_that_airflow_loses_ends_the_task_all_the_same(renting: Renting, tmp_path: Path) -> None:
    arguments = {"command": f"touch {tmp_path}/begun; sleep 3600", "deferrable": False, "retries": 0}
    dag = dag_to_kill("lost_clear", **arguments)
    file, log = tmp_path / "lost_clear_dag.py", tmp_path / "log"
    file.write_text(f"from dag_to_kill import dag_to_kill\n\ndag = dag_to_kill('lost_clear', **{arguments!r})\n")
    unlocked(lambda: new_run(dag))
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
        # What it is killed after, wherever the machine is busy.
        "AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME": "600",
    }
    command = [sys.executable, "-m", "airflow", "tasks", "run", "--local", "--subdir", str(file)]
    with (
        log.open("wb") as output,
        subprocess.Popen([*command, dag.dag_id, "job", RUN_ID], stdout=output, stderr=output, env=env) as process,
    ):
        try:
            begun = tmp_path / "begun"
            until("its command should begin", lambda: begun.exists() or process.poll() is not None, log)
            assert begun.exists(), log.read_text()[-6000:]
            unlocked(lambda: clear(dag))
            until("it should end", lambda: process.poll() is not None, log)
        finally:
            # What runs the task ends with it.
            process.terminate()
    assert unlocked(lambda: state(dag)) == "up_for_retry"
    logs = Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"], f"dag_id={dag.dag_id}").rglob("*.log")
    assert sum(file.read_text().count("was cleared over the REST API") for file in logs) == 1
    assert renting.running() == []
    assert len(renting.sessions) == 1
