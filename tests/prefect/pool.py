"""A work pool of type `octa` on the test's server, its workers as processes of their own, and flow runs in it."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect_server import BIN, PrefectServer, Process, start_process, with_more_time
from renting import Renting
from waiting_for import wait_for

FLOWS = Path(__file__).parent / "flows"
#: Executes a flow run without Prefect's runner around it, which is another process: for what the runner has no part in.
ENGINE = "python -m prefect.engine"


def env_of_machine(server: PrefectServer) -> dict[str, str]:
    """What a flow run needs on an emulated machine, to which nothing comes by itself."""
    return {
        "PATH": str(Path(sys.executable).parent),
        "PREFECT_API_URL": server.api_url,
        "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
        "PYTHONPATH": with_more_time(),
    }


class Pool:
    def __init__(self, server: PrefectServer, renting: Renting, folder: Path) -> None:
        self.server = server
        self.renting = renting
        self.folder = folder
        self.name = f"pool-{uuid.uuid4().hex[:8]}"
        self._workers: list[Process] = []
        from prefect_blocks import OctaWorker

        template = OctaWorker.get_default_base_job_template()
        server.post("/work_pools/", name=self.name, type="octa", base_job_template=template)

    def worker(self, name: str = "one", **environment: str) -> Process:
        """Start a worker; it is killed when the test ends."""
        home = self.folder / f"home-{name}"
        home.mkdir(exist_ok=True)
        settings = {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.server.api_url,
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "2",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_PREFETCH_SECONDS": "1",
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PYTHONPATH": with_more_time(),
            **self.renting.emulator.env(),
        }
        command = [BIN / "prefect", "worker", "start", "--pool", self.name, "--type", "octa", "--name", name]
        process = start_process(command, self.folder / f"worker-{uuid.uuid4().hex[:4]}.log", settings | environment)
        self._workers.append(process)
        return process

    def submit(self, flow_name: str, parameters: dict[str, Any] | None = None, **job_variables: Any) -> str:
        """A deployment of the flow and one run of it; returns the flow run's id."""
        deployment = self.deploy(flow_name, **job_variables)
        run = self.server.post(
            f"/deployments/{deployment}/create_flow_run",
            parameters=parameters or {},
            state={"type": "SCHEDULED"},
            enforce_parameter_schema=False,
        )
        return str(run["id"])

    def deploy(self, flow_name: str, parameters: dict[str, Any] | None = None, **job_variables: Any) -> str:
        """A deployment of the flow; returns its id."""
        flow_id = self.server.post("/flows/", name=flow_name)["id"]
        env = env_of_machine(self.server)
        env |= {"PREFECT_RUNNER_HEARTBEAT_FREQUENCY": "30", "PREFECT_LOGGING_LEVEL": "INFO"}
        # Seconds between two looks whether it was cancelled; ten when nothing is said.
        env |= {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
        variables = {"env": env, "poll_s": 0.5, "cancel_grace_s": 30, "image": "prefect:3"} | job_variables
        deployment = self.server.post(
            "/deployments/",
            name=f"{flow_name}-{uuid.uuid4().hex[:6]}",
            flow_id=flow_id,
            work_pool_name=self.name,
            entrypoint=f"machine_flows.py:{flow_name}",
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(FLOWS)}}],
            parameters=parameters or {},
            job_variables=variables,
            enforce_parameter_schema=False,
        )
        return str(deployment["id"])

    def at_work(self, folder: Path, **variables: object) -> str:
        """A run of the flow `works` that has begun on a machine which Prefect knows of; returns its id."""
        run = self.submit("works", {"folder": str(folder)}, command=ENGINE, **variables)
        wait_for((folder / "runs").exists, "the flow runs")
        wait_for(lambda: self.server.flow_run(run)["infrastructure_pid"], "the machine is known")
        return run

    def counts_as_gone(self, name: str) -> None:
        """Have Prefect count a worker as gone soon: three heartbeats after its last one, which is told here."""
        self.server.post(f"/work_pools/{self.name}/workers/heartbeat", name=name, heartbeat_interval_seconds=1)

    def close(self) -> None:
        for process in self._workers:
            if process.popen.poll() is None:
                process.kill()

    def end_of(self, process: Process, number: int = signal.SIGINT, wait: Callable[[], object] | None = None) -> None:
        process.signal(number)
        process.wait()
