"""The processes of an Airflow 2: the scheduler reads the DAGs, and the REST API is the old one's."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests

from demo.airflow_services import AirflowServices
from tests.airflow.e2e.airflow_processes import LONG_AGO, NEVER_S, Services


class ServicesOfTwo(Services):
    """As `Services`: a web server, a scheduler, a triggerer."""

    api = "api/v1"
    executor = "LocalExecutor"

    def prepare(self) -> None:
        """Make the database."""
        # Nobody logs in: only this machine can reach it, and only while the tests run.
        (self.home / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\nWTF_CSRF_ENABLED = False\n')
        super().prepare()

    def environment(self, connections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
        """The environment of all of it."""
        return super().environment(connections) | {
            # Several tasks at a time with SQLite, which Airflow 3 allows and Airflow 2 advises against.
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "1",
            # As in `Services`. A worker ends its own task after this too, or after LOCAL_TASK_JOB_HEARTBEAT_SEC.
            "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": NEVER_S,
            "AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME": "300",
            "AIRFLOW__CORE__DAG_FILE_PROCESSOR_TIMEOUT": "600",
            "AIRFLOW__SCHEDULER__STALE_DAG_THRESHOLD": NEVER_S,
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "300",
            "AIRFLOW__WEBSERVER__BASE_URL": self.url,
            # It ends where a part of it has not had its turn for so long.
            "AIRFLOW__WEBSERVER__WEB_SERVER_MASTER_TIMEOUT": NEVER_S,
            "AIRFLOW__WEBSERVER__WEB_SERVER_WORKER_TIMEOUT": NEVER_S,
            "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(32),
        }

    @property
    def triggerers_log(self) -> str:
        """Of what all triggerers logged, what is not in the logs of their tasks: that a trigger begins."""
        return "\n".join(path.read_text(errors="replace") for path in self.logs.glob("airflow-triggerer*.log"))

    def lose_worker(self, dag_id: str, run_id: str) -> None:
        """Let the scheduler miss the worker that runs a task."""
        jobs = "SELECT job_id FROM task_instance WHERE dag_id = ? AND run_id = ? AND state = 'running'"
        self.write(f"UPDATE job SET latest_heartbeat = ? WHERE id IN ({jobs})", LONG_AGO, dag_id, run_id)

    def start(self, dag_id: str) -> None:
        """Start the processes and wait until the DAG can be run.

        Raises:
            AirflowError: it takes too long, or the DAG's file has an error.
        """
        address = ["--hostname", "127.0.0.1", "--port", self.url.rpartition(":")[2], "--workers", "1"]
        for name, arguments in (
            ("webserver", address),
            ("scheduler", ["--skip-serve-logs"]),
            ("triggerer", ["--skip-serve-logs"]),
        ):
            self.run(name, arguments, self.logs / f"airflow-{name}.log")
        self.wait("Airflow's web server", self.log_in)
        self.wait(f"the DAG {dag_id}", lambda: self.has_dag(dag_id))

    def run(self, process: str, arguments: Sequence[str], log: Path) -> None:
        """As in `AirflowServices`: its own executor has to hear of a deferral before the task is resumed."""
        AirflowServices.run(self, process, arguments, log)

    def log_in(self) -> bool:
        """Whether the web server answers."""
        try:
            return self.http.get(f"{self.url}/{self.api}/health", timeout=5).ok
        except requests.RequestException:
            return False  # not listening yet

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, object]) -> None:
        """Start a run with these parameters."""
        body = {"dag_run_id": run_id, "conf": dict(conf)}
        self.ask("POST", f"dags/{dag_id}/dagRuns", body, also_fine=409)

    def clear(self, dag_id: str, run_id: str) -> None:
        """As a user does in the browser: the REST API loses a clear of a task that runs (`test_lost_clear.py`)."""
        form = {"dag_id": dag_id, "task_id": "job", "confirmed": "true"}
        form["execution_date"] = self.get(f"dags/{dag_id}/dagRuns/{run_id}")["logical_date"]

        def is_cleared() -> bool:
            # Without an end: a second clear is none of the same try.
            return self.http.post(f"{self.url}/clear", form, headers={"Accept": "application/json"}).ok

        self.wait("that the task is cleared", is_cleared)

    def ask(self, method: str, path: str, body: object = None, also_fine: int | None = None) -> None:
        """As in `AirflowServices`; a task is only said to be changed here unless one asks for more."""
        if method == "PATCH" and "/taskInstances/" in path and isinstance(body, dict):
            body = {"dry_run": False} | body
        super().ask(method, path, body, also_fine)
