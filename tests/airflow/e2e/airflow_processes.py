"""The processes of a real Airflow 3, as tests start, kill and stall them."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from demo.airflow_services import AIRFLOW, AirflowServices
from demo.child_processes import Child, send, session_members

#: As long as a busy machine needs; each command that has no end of its own sleeps for longer.
PATIENCE_S = 240.0


class Services(AirflowServices):
    """Airflow's processes, quicker to notice what is gone."""

    def environment(self, connections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
        """The environment of all of it."""
        return super().environment(connections) | {
            "AIRFLOW__CORE__PARALLELISM": "6",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
            "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
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
        self.children.start(f"Airflow's {name}", [*AIRFLOW, name, *arguments], log, self.env_of(name))
