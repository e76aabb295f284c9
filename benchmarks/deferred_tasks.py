"""An Airflow's database with tasks that are deferred, and triggerers that watch them: no scheduler, no worker."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.own_postgres import own_postgres

__all__ = ["airflow_database", "defer", "triggerer"]

REPOSITORY = Path(__file__).resolve().parents[1]
AIRFLOW = (sys.executable, "-m", "airflow")


@contextmanager
def airflow_database(connections: Mapping[str, Mapping[str, object]]) -> Iterator[Path]:
    """An Airflow of its own, as far as its database: in PostgreSQL where that is installed, in SQLite elsewhere.

    This process becomes a part of it, so it must not have imported Airflow before.

    Args:
        connections: by connection id, the fields of the connection.

    Yields its home.
    """
    with ExitStack() as stack:
        home = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="octa-triggerer-", ignore_cleanup_errors=True))
        )
        postgres = stack.enter_context(own_postgres())
        for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
            del os.environ[name]
        os.environ |= {
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(REPOSITORY),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
                f"sqlite:///{home}/airflow.db?timeout=120" if postgres is None else f"postgresql+psycopg2://{postgres}"
            ),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            # For triggers of different kinds at the same time, each kind in a triggerer of its own.
            "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "True",
            # On a busy machine a triggerer whose loop was held up would be ended, and all would begin anew.
            "AIRFLOW__TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD": "600",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "600",
            "SCARF_ANALYTICS": "False",
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()},
        }
        log = home / "migrate.log"
        with log.open("wb") as output:
            made = subprocess.run([*AIRFLOW, "db", "migrate"], stdout=output, stderr=output, check=False)
        if made.returncode:
            raise SystemExit(f"Airflow's database could not be made:\n{log.read_text()[-3000:]}")
        yield home


def defer(queues: Mapping[str, Sequence[Any]]) -> None:
    """Write a run of a DAG into the database, with a task for each trigger that is deferred to it.

    Args:
        queues: triggers, by the name of their queue, which becomes a DAG's name too.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.sdk import DAG, BaseOperator
    from airflow.utils.session import create_session

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=os.devnull)
    for queue in queues:
        with DAG(queue, schedule=None) as dag:
            BaseOperator(task_id="job")
        bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    with create_session() as session:
        for queue, triggers in queues.items():
            _defer(queue, triggers, session)


def _defer(queue: str, triggers: Sequence[Any], session: Any) -> None:
    from airflow._shared.timezones import timezone
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    now = timezone.utcnow()
    dag = SerializedDagModel.get_dag(queue, session=session)
    run = dag.create_dagrun(
        run_id="bench",
        run_after=now,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        start_date=now,
        session=session,
    )
    (first,) = run.get_task_instances(session=session)
    task, version = dag.get_task("job"), first.dag_version_id
    for number, trigger in enumerate(triggers):
        deferred = first
        if number:
            deferred = TaskInstance(task, dag_version_id=version, run_id=run.run_id, map_index=number)
            session.add(deferred)
        classpath, kwargs = trigger.serialize()
        deferred.state = TaskInstanceState.DEFERRED
        deferred.start_date, deferred.try_number = now, 1
        deferred.next_method = "execute_complete"
        deferred.trigger = Trigger(classpath, kwargs, queue=queue)
    session.flush()


@contextmanager
def triggerer(queue: str, capacity: int, home: Path) -> Iterator[int]:
    """A real triggerer for the triggers of one queue.

    Args:
        queue: its name.
        capacity: how many it may run.
        home: where its log goes.

    Yields its process id; its children do the work.
    """
    with (home / f"{queue}.log").open("wb") as output:
        process = subprocess.Popen(
            [*AIRFLOW, "triggerer", "--skip-serve-logs", "--queues", queue, "--capacity", str(capacity)],
            env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
