"""The demo's run as an Airflow DAG: its file, its parameters, its connection, the bill that it writes."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from demo.airflow_services import AirflowServices
from demo.bill import MachineBill, bill_entries
from demo.child_processes import ChildProcesses
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder, State

DAG_FILE = Path(__file__).resolve().parents[1] / "dags_examples" / "airflow" / "render_animation.py"
DAG_ID = "render_animation"
RUN_ID = "demo"
STATES: dict[str, State] = {"queued": "waiting", "running": "running", "success": "succeeded", "failed": "failed"}


class AirflowRender:
    """Airflow as the demo's orchestrator.

    Args:
        children: what ends its processes.
        emulator: the marketplace.
        folder: for its database; ``airflow`` is made in it.
        logs: where logs go.
    """

    name = "Airflow"
    noun = "DAG"
    run_by = "an Airflow DAG"
    pipeline = f"{DAG_ID}, mapped over the machines"

    def __init__(self, children: ChildProcesses, emulator: Emulator, folder: Path, logs: Path) -> None:
        self.services = AirflowServices(children, folder / "airflow", DAG_FILE, connections(emulator), logs)

    def version(self) -> str:
        return importlib.metadata.version("apache-airflow")

    def start(self) -> None:
        self.services.prepare()
        self.services.start(DAG_ID)

    def trigger(self, order: RenderOrder) -> None:
        self.services.trigger(DAG_ID, RUN_ID, parameters(order))

    def run_url(self) -> str:
        return self.services.run_url(DAG_ID, RUN_ID)

    def state(self) -> State:
        self.services.children.check()
        return STATES[self.services.run_state(DAG_ID, RUN_ID)]

    def stage(self) -> str:
        running = [
            str(task["task_id"]).rpartition(".")[2]
            for task in self.services.tasks(DAG_ID, RUN_ID)
            if task["state"] == "running"
        ]
        return ", ".join(f"{running.count(name)} {name}" for name in dict.fromkeys(running)) or "scheduling"

    def problems(self) -> list[str]:
        return task_problems(self.services.tasks(DAG_ID, RUN_ID))

    def bills(self, output: Path, gpus: Mapping[int, str]) -> list[MachineBill]:
        return [machine_bill(entry, gpus) for entry in bill_entries(output)]

    def keep_logs(self) -> None:
        made = self.services.home / "logs"
        if made.is_dir():
            shutil.copytree(made, self.services.logs / "tasks", dirs_exist_ok=True)


def connections(emulator: Emulator) -> dict[str, dict[str, object]]:
    """The connection to the emulator; a real one has the key of a real account, and no host."""
    return {
        "octa_default": {
            "conn_type": "octa",
            "host": emulator.base_url,
            "password": emulator.api_key,
            "extra": {"ssh_key_file": emulator.ssh_private_key},
        }
    }


def parameters(order: RenderOrder) -> dict[str, Any]:
    """What the run is asked to do."""
    return {
        "scene": str(order.scene),
        "frames": order.frames_text,
        "machines": order.machines,
        "output": str(order.output),
    }


def task_problems(tasks: list[dict[str, Any]]) -> list[str]:
    """The tasks that did not succeed, each as a sentence."""
    found = []
    for task in tasks:
        if task["state"] not in ("success", "skipped"):
            where = f" of machine {task['map_index']}" if task["map_index"] >= 0 else ""
            found.append(f"task {task['task_id']}{where} ended as {task['state']}")
    return found


def machine_bill(entry: Mapping[str, Any], gpus: Mapping[int, str]) -> MachineBill:
    """One machine's part; what a failed machine could not tell is empty."""
    node_id, usd = entry.get("node_id"), entry["charge_usd"]
    return MachineBill(
        node_id=node_id,
        gpu=gpus.get(node_id, "") if node_id is not None else "",
        frames=tuple(int(number) for number in entry.get("frames", ())),
        seconds=float(entry["duration_s"] or 0.0),
        charge_wei=int(entry["charge_wei"] or 0),
        usd=None if usd is None else Decimal(str(usd)),
    )
