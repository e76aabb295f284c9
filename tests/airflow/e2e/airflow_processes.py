"""The processes of a real Airflow 3, as tests start, kill and stall them."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path

from demo.airflow_services import AirflowServices
from demo.child_processes import Child, send, session_members
from tests.airflow.e2e.nursery import Nursery

#: As long as a busy machine needs. Nothing ends by itself meanwhile: commands wait for a file that the test makes, and
#: Airflow takes nobody for dead before a test has killed or stalled it, and written its last heartbeat far back.
PATIENCE_S = 600.0
NEVER_S = "7200"
#: Long past for whoever looks at a heartbeat.
LONG_AGO = "2020-01-01 00:00:00.000000"


class Services(AirflowServices):
    """Airflow's processes, patient with each other, and quick to notice what a test has done."""

    start_deadline_s = PATIENCE_S
    answer_s = 120.0
    pauses_s = (0.5,) * 20
    executor = "tests.airflow.e2e.patient_executor.PatientExecutor"

    def environment(self, connections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
        """The environment of all of it."""
        return super().environment(connections) | {
            "AIRFLOW__CORE__EXECUTOR": self.executor,
            "AIRFLOW__CORE__PARALLELISM": "6",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
            "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            # A task hears with its heartbeat that a user has ended it.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # A process in good health may get no time for a minute, and is not to be taken for dead then.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": NEVER_S,
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": NEVER_S,
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": NEVER_S,
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": NEVER_S,
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": NEVER_S,
            "AIRFLOW__TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD": NEVER_S,
            "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "100",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
            "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "20",
            "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
            "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": NEVER_S,
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
            "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "600",
            "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": NEVER_S,
            # The file is read once: nobody changes it.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
            # A warning of Airflow's own about it would drown the rest.
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]),
        }

    def child(self, name: str) -> Child:
        """One of the processes."""
        return next(child for child in self.children.children if child.name == f"Airflow's {name}")

    def kill(self, name: str, signum: signal.Signals = signal.SIGKILL) -> None:
        """Kill a process with all that it started, as when its machine is gone; or shut it down by another signal."""
        child = self.child(name)
        for pid in session_members(child) if signum is signal.SIGKILL else [child.process.pid]:
            send(pid, signum)
        child.process.wait()
        self.children.children.remove(child)
        self._lose(name)

    def _lose(self, name: str) -> None:
        """Let what a process did that is dead, or hangs, be another's; one in good health soon tells that it is."""
        job_type = {"triggerer": "TriggererJob", "scheduler": "SchedulerJob"}.get(name, "")
        self.write("UPDATE job SET latest_heartbeat = ? WHERE job_type = ?", LONG_AGO, job_type)

    def lose_worker(self, dag_id: str, run_id: str) -> None:
        """Let the scheduler miss the worker that runs a task."""
        where = "WHERE dag_id = ? AND run_id = ? AND state = 'running'"
        self.write(f"UPDATE task_instance SET last_heartbeat_at = ? {where}", LONG_AGO, dag_id, run_id)

    def write(self, statement: str, *values: str) -> None:
        """Change Airflow's database."""
        with closing(sqlite3.connect(self.database_file, timeout=PATIENCE_S)) as database, database:
            database.execute(statement, values)

    def read(self, query: str, *values: str) -> str:
        """One value of Airflow's database, as text: `None` where there is none."""
        with closing(sqlite3.connect(self.database_file, timeout=PATIENCE_S)) as database:
            found = database.execute(query, values).fetchone()
        return str(found and found[0])

    def until_scheduled(self) -> None:
        """Until the scheduler has done what it began before now."""
        before = self._beat()
        self.wait("the scheduler's next heartbeat", lambda: self._beat() != before)

    def _beat(self) -> str:
        return self.read("SELECT latest_heartbeat FROM job WHERE job_type = 'SchedulerJob' ORDER BY id DESC LIMIT 1")

    def stall(self, name: str) -> Callable[[], None]:
        """Stop a process and all that it started in their tracks, as a machine that hangs; returns what wakes them."""
        pids = session_members(self.child(name))

        def wake() -> None:
            for pid in pids:
                send(pid, signal.SIGCONT)

        deadline = time.monotonic() + PATIENCE_S
        while True:
            for pid in pids:
                send(pid, signal.SIGSTOP)
            if self._can_write():
                self._lose(name)
                return wake
            # In the middle of a query it would hold up every process that writes to SQLite; no server does that.
            wake()
            assert time.monotonic() < deadline, f"{name} writes all the time"
            time.sleep(0.3)

    def _can_write(self) -> bool:
        with closing(sqlite3.connect(self.database_file, timeout=2.0, isolation_level=None)) as database:
            try:
                database.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                return False
            database.execute("ROLLBACK")
            return True

    def put_right(self) -> None:
        """Have one scheduler and one triggerer, whatever a test that failed has left."""
        for name in ("scheduler", "triggerer"):
            there = [child for child in self.children.children if child.name == f"Airflow's {name}"]
            for _ in there[1:]:
                self.kill(name)
            if not there:
                self.begin(name)

    @property
    def database_file(self) -> Path:
        """SQLite's."""
        return self.home / "airflow.db"

    def logged(self, name: str) -> str:
        """The log of the youngest process of that name."""
        child = next(child for child in reversed(self.children.children) if child.name == f"Airflow's {name}")
        return child.log.read_text(errors="replace")

    @property
    def triggerers_log(self) -> str:
        """Of what all triggerers logged, what is not in the logs of their tasks."""
        return ""

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear the task `job` of a run."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["job"], "only_failed": False}
        self.ask("POST", f"dags/{dag_id}/clearTaskInstances", body)

    def begin(self, name: str) -> None:
        """Start one of the processes again."""
        log = self.logs / f"airflow-{name}-{time.monotonic_ns()}.log"
        arguments = [] if name == "api-server" else ["--skip-serve-logs"]
        self.run(name, arguments, log)

    def run(self, process: str, arguments: Sequence[str], log: Path) -> None:
        """As in `AirflowServices`."""
        if process == "triggerer":
            self._nursery.start(f"Airflow's {process}", [process, *arguments], log)
        else:
            super().run(process, arguments, log)

    @cached_property
    def _nursery(self) -> Nursery:
        return Nursery(self.children, self.logs / "nursery.log", self.env_of("triggerer"))
