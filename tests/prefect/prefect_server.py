"""A real Prefect server, workers and flow processes, each a process that a test can kill."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from forked import BIN, ForkedProcess, start_forked
from waiting_for import LONG_S, wait_for

from octa_provider.emulator.container.free_port import free_port


@dataclass
class Process:
    """A child process with its output in a file."""

    popen: subprocess.Popen[bytes] | ForkedProcess
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """As kill -9 of it and of all its children."""
        self.signal(signal.SIGKILL)
        self.popen.wait(300)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)

    def wait(self, seconds: float = 600) -> int:
        return self.popen.wait(seconds)


def with_more_time() -> str:
    """The PYTHONPATH with which a process takes its time: see `more_time`."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parent / "patient"), os.environ.get("PYTHONPATH")]))


def start_process(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str],
    folder: Path | None = None,
    *,
    nothing_else: bool = False,
) -> Process:
    """Start a process with its output in `log`, and with our environment too unless it is to have nothing else."""
    arguments, variables = [str(part) for part in command], {**({} if nothing_else else os.environ), **environment}
    forked = start_forked(arguments, log, variables, folder)
    if forked is not None:
        return Process(forked, log)
    with open(log, "wb") as file:
        popen = subprocess.Popen(
            arguments,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=variables,
            cwd=folder,
            start_new_session=True,
        )
    return Process(popen, log)


#: A database with Prefect's tables and nothing else, made by the first server: to make them takes a new one longer than
#: all the rest of its start.
MIGRATED = Path(os.environ["PREFECT_HOME"]) / "migrated.db"


@dataclass
class PrefectServer:
    """A server that serves."""

    home: Path
    port: int
    environment: dict[str, str]
    process: Process = field(init=False)
    #: One for all questions, since a new one reads the certificates each time. A connection each: the server is killed.
    http: httpx.Client = field(default_factory=lambda: httpx.Client(limits=httpx.Limits(max_keepalive_connections=0)))

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        command = [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = start_process(command, self.home / f"server-{time.time()}.log", self.environment)
        wait_for(self._answers, f"the server: {self.process.log}")

    def _answers(self) -> bool:
        assert self.process.popen.poll() is None, self.process.output
        try:
            return self.http.get(f"{self.api_url}/health", timeout=60).status_code == 200
        except httpx.HTTPError:
            return False

    def go_away(self, how: str) -> None:
        """Be gone for good: `killed` (connections are refused) or `frozen` (nothing is ever answered)."""
        if how == "killed":
            self.process.kill()
        else:
            self.process.signal(signal.SIGSTOP)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the server; again while it answers 503, as Prefect's own client does: SQLite is busy."""
        until = time.monotonic() + LONG_S
        while True:
            response = self.http.request(method, f"{self.api_url}{path}", timeout=LONG_S, **options)
            if response.status_code != 503 or time.monotonic() >= until:
                break
            time.sleep(0.5)
        assert not response.is_error, f"{method} {path} answered {response.status_code}: {response.text}"
        return response

    def post(self, path: str, **body: Any) -> Any:
        response = self.ask("POST", path, json=body)
        return response.json() if response.content else None

    def all_of(self, path: str, **question: Any) -> list[dict[str, Any]]:
        """What answers a question, however many pages of it there are."""
        found: list[dict[str, Any]] = []
        while page := self.post(path, limit=200, offset=len(found), **question):
            found += page
            if len(page) < 200:
                break
        return found

    def block_id(self, slug: str, name: str) -> str:
        return str(self.ask("GET", f"/block_types/slug/{slug}/block_documents/name/{name}").json()["id"])

    def delete(self, path: str) -> None:
        self.ask("DELETE", path)

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/flow_runs/{flow_run_id}").json())

    def state_of(self, flow_run_id: str) -> str:
        return str(self.flow_run(flow_run_id)["state_name"])

    def wait_for_state(self, flow_run_id: str, *names: str, seconds: float = LONG_S) -> str:
        return str(
            wait_for(
                lambda: (state := self.state_of(flow_run_id)) in names and state,
                f"{flow_run_id} is {' or '.join(names)}, not {self.state_of(flow_run_id)}",
                seconds,
            )
        )

    def set_state(self, flow_run_id: str, type: str, name: str | None = None) -> None:
        state = {"type": type, "name": name or type.title()}
        self.post(f"/flow_runs/{flow_run_id}/set_state", state=state, force=False)

    def logs_of(self, flow_run_id: str) -> list[str]:
        logs = self.all_of("/logs/filter", logs={"flow_run_id": {"any_": [flow_run_id]}}, sort="TIMESTAMP_ASC")
        return [entry["message"] for entry in logs]

    def runs_of(self, flow_name: str) -> list[dict[str, Any]]:
        return self.all_of("/flow_runs/filter", flows={"name": {"any_": [flow_name]}}, sort="ID_DESC")

    def artifacts_of(self, flow_run_id: str) -> list[dict[str, Any]]:
        return self.all_of("/artifacts/filter", artifacts={"flow_run_id": {"any_": [flow_run_id]}}, sort="ID_DESC")

    def bill_of(self, flow_run_id: str, name: str) -> list[dict[str, str]]:
        """The rows of the newest version of its bill of that name; none where there is no bill."""
        made = [one for one in self.artifacts_of(flow_run_id) if one["key"] == f"octa-{name}-cost"]
        newest = max(made, key=lambda one: str(one["created"]), default={"data": "[]"})
        return list(json.loads(newest["data"]))


@contextlib.contextmanager
def start_prefect_server(home: Path) -> Iterator[PrefectServer]:
    home.mkdir(parents=True)
    copied = {}
    if MIGRATED.exists():
        shutil.copy(MIGRATED, home / "prefect.db")
        # The blocks of Prefect's own are in it.
        copied["PREFECT_API_BLOCKS_REGISTER_ON_START"] = "false"
    environment = {
        **copied,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        # Else it answers 503 when its database is busy for longer than a few seconds.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "600",
        # A flow run that is slow to be cancelled, and a process that serves, are not given up by the server itself.
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "3600",
        "PREFECT_SERVER_SERVICES_FOREMAN_DEPLOYMENT_LAST_POLLED_TIMEOUT_SECONDS": "3600",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        # Events can be asked for when they have been written down.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.5",
        "PYTHONPATH": with_more_time(),
    }
    server = PrefectServer(home, free_port(), environment)
    try:
        server.start()
        if not MIGRATED.exists():
            with (
                contextlib.closing(sqlite3.connect(home / "prefect.db")) as made,
                contextlib.closing(sqlite3.connect(MIGRATED)) as kept,
            ):
                made.backup(kept)
        yield server
    finally:
        server.http.close()
        server.process.signal(signal.SIGCONT)
        server.process.signal(signal.SIGTERM)
        try:
            server.process.wait(15)
        except subprocess.TimeoutExpired:
            server.process.kill()
