"""A small Airflow of its own: SQLite, one folder, and the processes that run a DAG for real."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from demo.child_processes import ChildProcesses
from demo.orchestrator import OrchestratorError
from octa_provider.emulator.container.free_port import free_port

START_DEADLINE_S = 120.0
REPOSITORY = Path(__file__).resolve().parents[1]
# Not the script `airflow`, which is of no use once its environment was moved.
AIRFLOW = (sys.executable, "-m", "airflow")


class AirflowError(OrchestratorError):
    """Airflow does not do what it must; the text says what happened and where to look."""


class AirflowServices:
    """The API server, the scheduler and the DAG processor, with one DAG.

    Args:
        children: what ends the processes.
        home: AIRFLOW_HOME, made when missing.
        dag_file: the DAG's file; a copy of it is all that Airflow sees.
        closing: lines at the end of the copy.
        connections: by connection id, the fields of the connection.
        logs: where the processes' logs go; the tasks' logs go to ``home``.
    """

    #: Where the REST API is below the URL.
    api = "api/v2"
    #: Seconds that Airflow may take to come up, and the API server for one answer.
    start_deadline_s = START_DEADLINE_S
    answer_s = 30.0
    #: A request that got no answer is sent again after each of these pauses, in seconds.
    pauses_s: tuple[float, ...] = (0.5, 1.0, 2.0)

    def __init__(
        self,
        children: ChildProcesses,
        home: Path,
        dag_file: Path,
        closing: str,
        connections: Mapping[str, Mapping[str, object]],
        logs: Path,
    ) -> None:
        self.children = children
        self.home = home
        self.logs = logs
        self.url = f"http://127.0.0.1:{free_port()}"
        self.http = requests.Session()
        self.http.trust_env = False
        self.env = self.environment(connections)
        (home / "dags").mkdir(parents=True)
        (home / "dags" / dag_file.name).write_text(dag_file.read_text() + closing)

    def environment(self, connections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
        """The environment of all of it; nothing of another Airflow on this machine gets in."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
        settings = {
            "AIRFLOW_HOME": str(self.home),
            # The closing lines import from the demo.
            "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), own.get("PYTHONPATH")))),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # Several processes write; on a busy machine one holds the file for longer than SQLite's own 5 s.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database(120),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            # Only this machine can reach it, and only while the demo runs.
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.url.rpartition(":")[2],
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "SCARF_ANALYTICS": "False",
            # A proxy that the user needs for the internet must not get what stays on this machine.
            "NO_PROXY": ",".join(filter(None, (own.get("NO_PROXY"), "127.0.0.1"))),
            "no_proxy": ",".join(filter(None, (own.get("no_proxy"), "127.0.0.1"))),
        }
        for name, fields in connections.items():
            settings[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(fields)
        return {**own, **settings}

    def database(self, patience_s: int) -> str:
        """The database's URL.

        Args:
            patience_s: seconds that a process waits while another one writes.
        """
        return f"sqlite:///{self.home}/airflow.db?timeout={patience_s}"

    def run(self, process: str, arguments: Sequence[str], log: Path) -> None:
        """Start one of the processes.

        Args:
            process: as in `airflow scheduler`.
            arguments: behind that.
            log: where all goes that it prints.
        """
        self.children.start(f"Airflow's {process}", [*AIRFLOW, process, *arguments], log, self.env_of(process))

    def env_of(self, process: str) -> dict[str, str]:
        """The environment of one of the processes.

        The API server of 3.3 may wait for itself: its audit log is written on the loop that another request, which
        writes too, needs to end. That passes with the patience, and the request is asked for again.

        Args:
            process: as in `airflow api-server`, or `airflow webserver` of Airflow 2.
        """
        if process not in {"api-server", "webserver"}:
            return self.env
        return {**self.env, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database(8)}

    def prepare(self) -> None:
        """Make the database.

        Raises:
            AirflowError: it cannot be made.
        """
        log = self.logs / "airflow-db-migrate.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            made = subprocess.run([*AIRFLOW, "db", "migrate"], env=self.env, stdout=output, stderr=output, check=False)
        if made.returncode:
            raise AirflowError(f"Airflow's database could not be made: see {log}")

    def start(self, dag_id: str) -> None:
        """Start the processes and wait until the DAG can be run.

        Raises:
            AirflowError: it takes too long, or the DAG's file has an error.
        """
        for name, arguments in (
            ("api-server", ()),
            ("dag-processor", ()),
            ("scheduler", ("--skip-serve-logs",)),
            ("triggerer", ("--skip-serve-logs",)),
        ):
            self.run(name, arguments, self.logs / f"airflow-{name}.log")
        self.wait("Airflow's API server", self.log_in)
        self.wait(f"the DAG {dag_id}", lambda: self.has_dag(dag_id))

    def wait(self, what: str, is_there: Callable[[], bool]) -> None:
        """Wait for something to come up while the processes live."""
        deadline = time.monotonic() + self.start_deadline_s
        while not is_there():
            self.children.check()
            if time.monotonic() > deadline:
                raise AirflowError(
                    f"{what} did not come up within {self.start_deadline_s:.0f} s: see the logs in {self.logs}"
                )
            time.sleep(0.2)

    def log_in(self) -> bool:
        """Whether the API server has let us in."""
        try:
            answer = self.http.get(f"{self.url}/auth/token", timeout=5)
        except requests.RequestException:
            return False  # not listening yet
        if not answer.ok:
            return False
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return True

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG has been read.

        Raises:
            AirflowError: its file has an error.
        """
        if self.answer("GET", f"dags/{dag_id}")[0].ok:
            return True
        for error in self.get("importErrors")["import_errors"]:
            raise AirflowError(f"{error['filename']} cannot be read:\n{error['stack_trace']}")
        return False

    def get(self, path: str, **query: str | int) -> Any:
        """Read from the REST API, and again when it waited too long for its database.

        Raises:
            AirflowError: it refuses, or does not answer.
        """
        answer, _ = self.answer("GET", path, params=query)
        return self.checked(answer)

    def answer(self, method: str, path: str, **options: Any) -> tuple[requests.Response, bool]:
        """The answer to a request, and whether it was sent more than once: where none came, or SQLite was locked.

        Args:
            method, path: the request.
            options: as of `requests`.

        Raises:
            AirflowError: no answer came.
        """
        answer = None
        for sent, pause_s in enumerate((*self.pauses_s, None)):
            # A connection that was kept may be closed at the moment that it is used again.
            with suppress(requests.Timeout, requests.ConnectionError):
                answer = self.http.request(method, f"{self.url}/{self.api}/{path}", timeout=self.answer_s, **options)
                if answer.status_code < 500:
                    return answer, sent > 0
            self.children.check()
            if pause_s is not None:
                time.sleep(pause_s)
        if answer is None:
            raise AirflowError(f"Airflow did not answer {method} {path}")
        return answer, True

    def checked(self, answer: requests.Response) -> Any:
        if not answer.ok:
            raise AirflowError(
                f"Airflow answered {answer.status_code} to {answer.request.path_url}: {answer.text[:500]}"
            )
        return answer.json() if answer.content else None

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, object]) -> None:
        """Start a run with these parameters."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        # The run has a name: one that is there already is what an earlier request made.
        self.ask("POST", f"dags/{dag_id}/dagRuns", body, also_fine=409)

    def ask(self, method: str, path: str, body: object = None, also_fine: int | None = None) -> None:
        """Change something, and again when SQLite was locked by another of the processes.

        Args:
            method, path, body: the request.
            also_fine: a status that says, to a second request, that the first had its effect.

        Raises:
            AirflowError: it refuses.
        """
        answer, is_second = self.answer(method, path, json=body)
        if answer.status_code == also_fine and is_second:
            return
        self.checked(answer)

    def approve(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Answer a task that asks a person, as the button of that name does.

        Args:
            dag_id, run_id, task_id: which.

        Raises:
            AirflowError: it refuses.
        """
        body = {"chosen_options": ["Approve"], "params_input": {}}
        where = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        # A second request finds that the first has answered.
        self.ask("PATCH", where, body, also_fine=409)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's task instances, mapped ones each by itself."""
        found: list[dict[str, Any]] = self.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=200)[
            "task_instances"
        ]
        return found

    def results(self, dag_id: str, run_id: str, task_id: str) -> list[Any]:
        """What the instances of a task returned, by map index."""
        run = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        indexes = sorted(
            int(task["map_index"])
            for task in self.tasks(dag_id, run_id)
            if task["task_id"] == task_id and task["state"] == "success"
        )
        return [
            self.get(f"{run}/{task_id}/xcomEntries/return_value", map_index=index, deserialize="true")["value"]
            for index in indexes
        ]

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Where a browser shows the run."""
        return f"{self.url}/dags/{dag_id}/runs/{run_id}"
