"""The demo's run as a Prefect flow: its file, its parameters, its account, the bill that it writes."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from demo.bill import MachineBill, bill_entries
from demo.child_processes import ChildProcesses
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder, State
from demo.prefect_services import PrefectServices
from octa_provider import frames

FLOW_FILE = Path(__file__).resolve().parents[1] / "dags_examples" / "prefect" / "render_animation.py"
DEPLOYMENT = "render-animation/octa"
STATES: dict[str, State] = {"COMPLETED": "succeeded", "FAILED": "failed", "CRASHED": "failed", "CANCELLED": "failed"}


class PrefectRender:
    """Prefect as the demo's orchestrator.

    Args:
        children: what ends its processes.
        emulator: the marketplace.
        folder: for its database; ``prefect`` is made in it.
        logs: where logs go.
    """

    name = "Prefect"
    noun = "flow"
    run_by = "a Prefect flow"
    pipeline = f"deployment {DEPLOYMENT}, a task for each machine"

    def __init__(self, children: ChildProcesses, emulator: Emulator, folder: Path, logs: Path) -> None:
        self.services = PrefectServices(children, folder / "prefect", account(emulator), logs)
        self.flow_run_id = ""

    def version(self) -> str:
        return importlib.metadata.version("prefect")

    def start(self) -> None:
        self.services.start(FLOW_FILE, DEPLOYMENT)

    def trigger(self, order: RenderOrder) -> None:
        self.flow_run_id = self.services.trigger(DEPLOYMENT, parameters(order))

    def run_url(self) -> str:
        return self.services.run_url(self.flow_run_id)

    def state(self) -> State:
        self.services.children.check()
        kind = str(self.services.flow_run(self.flow_run_id)["state_type"])
        return STATES.get(kind, "waiting" if kind in ("SCHEDULED", "PENDING") else "running")

    def stage(self) -> str:
        return stage_of(self.services.task_runs())

    def problems(self) -> list[str]:
        run = self.services.flow_run(self.flow_run_id)
        told = [] if run["state_type"] == "COMPLETED" else [f"the flow says: {(run['state'] or {}).get('message')}"]
        return told + task_problems(self.services.task_runs())

    def bills(self, output: Path, gpus: Mapping[int, str]) -> list[MachineBill]:
        return [machine_bill(entry, gpus) for entry in bill_entries(output)]

    def keep_logs(self) -> None:
        if self.flow_run_id:
            with (self.services.logs / "prefect-runs.log").open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in self.services.log_lines())


def account(emulator: Emulator) -> dict[str, str]:
    """The emulator's account; a real one has its own key, and no URL."""
    return {
        "OCTA_API_KEY": emulator.api_key,
        "OCTA_BASE_URL": emulator.base_url,
        "OCTA_SSH_KEY_FILE": emulator.ssh_private_key,
    }


def parameters(order: RenderOrder) -> dict[str, Any]:
    """What the run is asked to do."""
    return {
        "scene": str(order.scene),
        "frames": order.frames_text,
        "machines": order.machines,
        "output": str(order.output),
    }


def stage_of(tasks: Iterable[Mapping[str, Any]]) -> str:
    """What runs now, in a few words: ``3 rendering``."""
    rendering = sum(is_chunk(task) and task["state_type"] == "RUNNING" for task in tasks)
    return f"{rendering} rendering" if rendering else "scheduling"


def task_problems(tasks: Iterable[Mapping[str, Any]]) -> list[str]:
    """The chunks that were not rendered, each as a sentence."""
    return [
        f"task {task['name']} ended as {task['state_type']}"
        for task in tasks
        if is_chunk(task) and task["state_type"] in ("FAILED", "CRASHED", "CANCELLED")
    ]


def is_chunk(task: Mapping[str, Any]) -> bool:
    """Whether a task run renders; the others stand for inner flows."""
    return str(task["name"]).startswith("render-")


def machine_bill(entry: Mapping[str, Any], gpus: Mapping[int, str]) -> MachineBill:
    """One machine's part; what a failed machine could not tell is empty."""
    node_id, usd = entry.get("node_id"), entry["cost_usd"]
    return MachineBill(
        node_id=node_id,
        gpu=gpus.get(node_id, "") if node_id is not None else "",
        frames=tuple(frames.parse(entry["frames"])) if entry.get("frames") else (),
        seconds=float(entry["duration_s"] or 0.0),
        charge_wei=int(entry["cost_wei"] or 0),
        usd=None if usd is None else Decimal(str(usd)),
    )
