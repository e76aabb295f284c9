"""Flow runs as processes of their own: the engine alone, or under Prefect's runner, which takes cancellations."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

from prefect_server import BIN, PrefectServer, Process, start_process, with_more_time
from renting import Renting

from octa_provider.emulator.container.process import marked_pids

FLOWS = Path(__file__).parent / "flows"


class FlowProcesses:
    def __init__(self, server: PrefectServer, renting: Renting, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.environment: dict[str, str] = {}
        self._renting = renting
        self._started: list[Process] = []

    def new_run(self, flow_name: str, **parameters: Any) -> str:
        """A run, which nobody executes yet, of a flow that is beside the tests; it is given this folder."""
        return self.new_run_of(flow_name, f"renting_flows.py:{flow_name}", {"folder": str(self.folder)} | parameters)

    def new_run_of(self, flow_name: str, entrypoint: str, parameters: dict[str, Any]) -> str:
        """A run, which nobody executes yet, of any flow."""
        flow_id = self.server.post("/flows/", name=flow_name.replace("_", "-"))["id"]
        deployment = self.server.post(
            "/deployments/",
            name=f"{flow_name}-{uuid.uuid4().hex[:6]}",
            flow_id=flow_id,
            entrypoint=entrypoint,
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(FLOWS)}}],
            enforce_parameter_schema=False,
        )
        run = self.server.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            parameters=parameters,
            state={"type": "PENDING"},
            enforce_parameter_schema=False,
        )
        return str(run["id"])

    def engine(self, flow_run_id: str) -> Process:
        """Execute a flow run without anything around it."""
        return self._start(flow_run_id, [sys.executable, "-m", "prefect.engine"])

    def runner(self, flow_run_id: str) -> Process:
        """Execute a flow run as a worker does."""
        return self._start(flow_run_id, [BIN / "prefect", "flow-run", "execute", flow_run_id])

    def script(self, text: str) -> Process:
        """A Python program without a flow around it, beside the flows."""
        return self._start(None, [sys.executable, "-c", text])

    def again(self, flow_run_id: str) -> None:
        """What "Retry" does to a flow run whose process is gone."""
        for state in ("CRASHED", "PENDING"):
            self.server.post(f"/flow_runs/{flow_run_id}/set_state", state={"type": state}, force=True)

    def _start(self, flow_run_id: str | None, command: list[str | Path]) -> Process:
        environment = {
            **({} if flow_run_id is None else {"PREFECT__FLOW_RUN_ID": flow_run_id}),
            "PREFECT_API_URL": self.server.api_url,
            "PREFECT_HOME": str(self.folder / "home"),
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PYTHONPATH": with_more_time(),
            **self._renting.emulator.env(),
            **self.environment,
        }
        process = start_process(command, self.folder / f"flow-{uuid.uuid4().hex[:4]}.log", environment)
        self._started.append(process)
        return process

    def kill_all(self) -> None:
        """Kill -9 of every process of every flow run, as when the power of their computer fails."""
        # By their environment: Prefect's runner gives the flow's process a session of its own.
        for pid in marked_pids("PREFECT_HOME", str(self.folder / "home")):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.popen.wait(300)

    def close(self) -> None:
        self.kill_all()
