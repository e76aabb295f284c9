"""A small Prefect of its own: a server with SQLite and its UI, one folder, and a process that serves a flow."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from demo.child_processes import ChildProcesses
from demo.orchestrator import OrchestratorError
from octa_provider.emulator.container.free_port import free_port

START_DEADLINE_S = 120.0
PAGE = 200
REPOSITORY = Path(__file__).resolve().parents[1]
PREFECT = Path(sys.executable).parent / "prefect"


class PrefectError(OrchestratorError):
    """Prefect does not do what it must; the text says what happened and where to look."""


class PrefectServices:
    """The server, and a flow's own process that executes its runs.

    Args:
        children: what ends the processes.
        home: PREFECT_HOME, made when missing.
        account: the environment that leads the flow to its OctaSpace account.
        logs: where the processes' logs go.
    """

    def __init__(self, children: ChildProcesses, home: Path, account: Mapping[str, str], logs: Path) -> None:
        self.children = children
        self.home = home
        self.logs = logs
        self.url = f"http://127.0.0.1:{free_port()}"
        self.http = requests.Session()
        self.http.trust_env = False
        self.env = self.environment(account)
        home.mkdir(parents=True)

    def environment(self, account: Mapping[str, str]) -> dict[str, str]:
        """The environment of all of it; nothing of another Prefect on this machine gets in."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "OCTA_"))}
        settings = {
            "PREFECT_HOME": str(self.home),
            # The closing lines import from the demo.
            "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), own.get("PYTHONPATH")))),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_UI_ENABLED": "true",
            # Its pages are written with the server's address in them; not into the package, which others use too.
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(self.home / "ui"),
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            # A proxy that the user needs for the internet must not get what stays on this machine.
            "NO_PROXY": ",".join(filter(None, (own.get("NO_PROXY"), "127.0.0.1"))),
            "no_proxy": ",".join(filter(None, (own.get("no_proxy"), "127.0.0.1"))),
        }
        return {**own, **settings, **account}

    def start(self, flow_file: Path, closing: str, deployment: str) -> None:
        """Start the processes and wait until the flow can be run.

        Args:
            flow_file: a script that serves its flow; a copy of it is run.
            closing: lines at the end of the copy.
            deployment: its name, ``flow/deployment``.

        Raises:
            PrefectError: it takes too long.
        """
        address = ["--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]]
        command = [PREFECT, "server", "start", *address]
        self.children.start("Prefect's server", command, self.logs / "prefect-server.log", self.env)
        self.wait("Prefect's server", lambda: self.answers("health"))
        served = self.home / flow_file.name
        served.write_text(flow_file.read_text() + closing)
        self.children.start("the flow", [sys.executable, served], self.logs / "prefect-flow.log", self.env)
        self.wait(f"the deployment {deployment}", lambda: self.answers(f"deployments/name/{deployment}"))

    def wait(self, what: str, is_there: Callable[[], bool]) -> None:
        """Wait for something to come up while the processes live."""
        deadline = time.monotonic() + START_DEADLINE_S
        while not is_there():
            self.children.check()
            if time.monotonic() > deadline:
                raise PrefectError(
                    f"{what} did not come up within {START_DEADLINE_S:.0f} s: see the logs in {self.logs}"
                )
            time.sleep(0.2)

    def answers(self, path: str) -> bool:
        """Whether the API has something there."""
        try:
            return self.http.get(f"{self.url}/api/{path}", timeout=5).ok
        except requests.RequestException:
            return False  # not listening yet

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the REST API, and again when it says that it is busy.

        Raises:
            PrefectError: it refuses, or does not answer.
        """
        for pause_s in (0.5, 1.0, 2.0, None):
            try:
                answer = self.http.request(method, f"{self.url}/api/{path}", json=body, timeout=30)
            except requests.RequestException as error:
                raise PrefectError(f"Prefect's server does not answer: {error}; see the logs in {self.logs}") from error
            if answer.status_code != 503 or pause_s is None:
                break
            time.sleep(pause_s)
        if not answer.ok:
            raise PrefectError(
                f"Prefect answered {answer.status_code} to {answer.request.path_url}: {answer.text[:500]}"
            )
        return answer.json()

    def pages(self, path: str, body: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """All that a filter finds."""
        offset = 0
        while True:
            page = self.ask("POST", path, {**body, "limit": PAGE, "offset": offset})
            yield from page
            offset += len(page)
            if len(page) < PAGE:
                return

    def trigger(self, deployment: str, parameters: Mapping[str, object]) -> str:
        """Start a run with these parameters; returns its id."""
        deployment_id = self.ask("GET", f"deployments/name/{deployment}")["id"]
        body = {"parameters": dict(parameters), "state": {"type": "SCHEDULED"}}
        return str(self.ask("POST", f"deployments/{deployment_id}/create_flow_run", body)["id"])

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        """A flow run; ``state`` is in it."""
        found: dict[str, Any] = self.ask("GET", f"flow_runs/{flow_run_id}")
        return found

    def flow_runs(self) -> list[dict[str, Any]]:
        """All flow runs of this server: the flow's inner ones, too."""
        return list(self.pages("flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"}))

    def run_input(self, flow_run_id: str, keyset: Mapping[str, str]) -> str:
        """What a person is told who is asked for input.

        Args:
            flow_run_id: of the run that is paused.
            keyset: of its state.
        """
        return str(self.ask("GET", f"flow_runs/{flow_run_id}/input/{keyset['description']}"))

    def resume(self, flow_run_id: str, given: Mapping[str, object]) -> None:
        """Go on with a run that is paused, as the form in the UI does it.

        Args:
            flow_run_id: which.
            given: the input that it asks for.

        Raises:
            PrefectError: it does not.
        """
        answer = self.ask("POST", f"flow_runs/{flow_run_id}/resume", {"run_input": dict(given)})
        if answer["status"] != "ACCEPT":
            raise PrefectError(f"Prefect did not go on with the run: {answer['details']}")

    def artifact(self, key: str) -> str | None:
        """What the newest artifact of a key holds; None where there is none."""
        found = self.ask("POST", "artifacts/filter", {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"})
        return str(found[0]["data"]) if found else None

    def log_lines(self) -> Iterator[str]:
        """All that the runs have logged, in order."""
        for entry in self.pages("logs/filter", {"sort": "TIMESTAMP_ASC"}):
            yield f"{entry['timestamp']} {entry['name']}: {entry['message']}"

    def run_url(self, flow_run_id: str) -> str:
        """Where a browser shows the run."""
        return f"{self.url}/runs/flow-run/{flow_run_id}"
