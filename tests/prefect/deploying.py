"""`prefect deploy`, as a process of its own, of a file that is written for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml
from pool import FLOWS, Pool, env_of_machine
from prefect_server import BIN, PrefectServer, start_process, with_more_time


def deploy(
    server: PrefectServer, pool: Pool, folder: Path, flow_name: str, **job_variables: object
) -> subprocess.CompletedProcess[str]:
    """Deploy a flow of `machine_flows.py` as `from-yaml`, with these job variables; all that was said is its output."""
    (folder / "machine_flows.py").write_text((FLOWS / "machine_flows.py").read_text())
    env = env_of_machine(server)
    variables = {"image": "prefect:3", "poll_s": 0.5, "env": env} | job_variables
    deployment = {
        "name": "from-yaml",
        "entrypoint": f"machine_flows.py:{flow_name}",
        "work_pool": {"name": pool.name, "job_variables": variables},
    }
    steps = [{"prefect.deployments.steps.set_working_directory": {"directory": str(FLOWS)}}]
    (folder / "prefect.yaml").write_text(yaml.safe_dump({"pull": steps, "deployments": [deployment]}))
    command = [BIN / "prefect", "--no-prompt", "deploy", "--all"]
    environment = {
        "PATH": str(BIN),
        "PYTHONPATH": with_more_time(),
        "PREFECT_API_URL": server.api_url,
        "PREFECT_HOME": str(folder / "home"),
        "COLUMNS": "500",
    }
    process = start_process(command, folder / "deploy.log", environment, folder, nothing_else=True)
    return subprocess.CompletedProcess(command, process.wait(), process.output, "")


def stored(server: PrefectServer) -> str:
    """All that Prefect has of deployments and flow runs."""
    return str(
        server.all_of("/deployments/filter", sort="NAME_ASC") + server.all_of("/flow_runs/filter", sort="ID_DESC")
    )
