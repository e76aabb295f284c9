"""The demo's run as a Prefect flow: its file, its account, its quote, its approval."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from demo.child_processes import ChildProcesses
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder, State
from demo.prefect_services import PrefectServices
from demo.quoted import Quoted

FLOW_FILE = Path(__file__).resolve().parents[1] / "dags_examples" / "prefect" / "quote_approve_render.py"
DEPLOYMENT = "quote-approve-render/octa"
STATES: dict[str, State] = {"COMPLETED": "succeeded", "FAILED": "failed", "CRASHED": "failed", "CANCELLED": "failed"}


class PrefectRender:
    """Prefect as the demo's orchestrator.

    Args:
        children: what ends its processes.
        emulator: the marketplace.
        folder: for its database; ``prefect`` is made in it.
        logs: where logs go.
        closing: lines at the end of the flow's file.
    """

    name = "Prefect"
    noun = "flow"
    run_by = "a Prefect flow"
    pipeline = f"deployment {DEPLOYMENT}: plan, pause, render"

    def __init__(self, children: ChildProcesses, emulator: Emulator, folder: Path, logs: Path, closing: str) -> None:
        self.services = PrefectServices(children, folder / "prefect", account(emulator), logs)
        self.closing = closing
        self.flow_run_id = ""

    def version(self) -> str:
        return importlib.metadata.version("prefect")

    def start(self) -> None:
        self.services.start(FLOW_FILE, self.closing, DEPLOYMENT)

    def trigger(self, order: RenderOrder) -> None:
        self.flow_run_id = self.services.trigger(DEPLOYMENT, parameters(order))

    def run_url(self) -> str:
        return self.services.run_url(self.flow_run_id)

    def state(self) -> State:
        self.services.children.check()
        kind = str(self.services.flow_run(self.flow_run_id)["state_type"])
        return STATES.get(kind, "waiting" if kind in ("SCHEDULED", "PENDING") else "running")

    def stage(self) -> str:
        return stage_of(self.services.flow_runs())

    def asked(self) -> str | None:
        run = self.services.flow_run(self.flow_run_id)
        if run["state_type"] != "PAUSED":
            return None
        question = self.services.run_input(self.flow_run_id, run["state"]["state_details"]["run_input_keyset"])
        return question.partition("\n")[0]

    def approve(self) -> None:
        self.services.resume(self.flow_run_id, {"approved": True})

    def quoted(self) -> Quoted | None:
        found = self.services.artifact("octa-render-cost")
        return None if found is None else quoted_of(found)

    def problems(self) -> list[str]:
        run = self.services.flow_run(self.flow_run_id)
        told = [] if run["state_type"] == "COMPLETED" else [f"the flow says: {(run['state'] or {}).get('message')}"]
        return told + run_problems(self.services.flow_runs())

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
        "output": str(order.output),
        "seconds_per_frame": order.seconds_per_frame,
        "max_machines": order.machines,
        "within_hours": order.within_min / 60,
        "more": {"max_cost_usd": order.max_cost_usd},
    }


def stage_of(runs: Iterable[Mapping[str, Any]]) -> str:
    """What runs now, in a few words."""
    running = sum(run["state_type"] == "RUNNING" for run in runs)
    return f"flow runs: {running}" if running else "scheduling"


def run_problems(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The flow runs that did not end well, each as a sentence."""
    return [
        f"flow run {run['name']} ended as {run['state_type']}"
        for run in runs
        if run["state_type"] in ("FAILED", "CRASHED", "CANCELLED")
    ]


def quoted_of(table: str) -> Quoted:
    """What was approved, from the table of quote and bill."""
    whole = json.loads(table)[0]
    return Quoted(float(whole["quoted"]), float(whole["9 in 10 under"]), float(whole["at most"]))
