"""The demo's run as an Airflow DAG: its file, its connection, its quote, its approval."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.airflow_services import AirflowServices
from demo.child_processes import ChildProcesses
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder, State
from demo.quoted import Quoted

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
        closing: lines at the end of the DAG's file.
    """

    name = "Airflow"
    noun = "DAG"
    run_by = "an Airflow DAG"
    pipeline = f"{DAG_ID}: plan, approve, render"

    def __init__(self, children: ChildProcesses, emulator: Emulator, folder: Path, logs: Path, closing: str) -> None:
        self.services = AirflowServices(children, folder / "airflow", DAG_FILE, closing, connections(emulator), logs)

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
        running = [task["task_id"] for task in self.services.tasks(DAG_ID, RUN_ID) if task["state"] == "running"]
        return f"task {', '.join(running)}" if running else "scheduling"

    def asked(self) -> str | None:
        if not any(asks_for_approval(task) for task in self.services.tasks(DAG_ID, RUN_ID)):
            return None
        return str(self.plan()["text"])

    def plan(self) -> dict[str, Any]:
        """What the task `plan` returned; nothing where it has not."""
        return next((dict(one) for one in self.services.results(DAG_ID, RUN_ID, "plan")), {})

    def approve(self) -> None:
        self.services.approve(DAG_ID, RUN_ID, "approve")

    def quoted(self) -> Quoted | None:
        line = self.plan().get("chosen")
        return line and Quoted(line["cost_p50_usd"], line["cost_p90_usd"], line["cost_most_usd"])

    def problems(self) -> list[str]:
        return task_problems(self.services.tasks(DAG_ID, RUN_ID))

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
        "seconds_per_frame": order.seconds_per_frame,
        "within_min": order.within_min,
        "max_cost_usd": order.max_cost_usd,
    }


def asks_for_approval(task: Mapping[str, Any]) -> bool:
    """Whether a task instance is the one that waits for a person."""
    return task["task_id"] == "approve" and task["state"] in ("deferred", "awaiting_input")


def task_problems(tasks: list[dict[str, Any]]) -> list[str]:
    """The tasks that did not succeed, each as a sentence."""
    return [f"task {task['task_id']} ended as {task['state']}" for task in tasks if task["state"] != "success"]
