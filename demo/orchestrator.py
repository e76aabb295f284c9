"""What the demo wants of an orchestrator; `airflow_render` and `prefect_render` give it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from demo.quoted import Quoted

State = Literal["waiting", "running", "succeeded", "failed"]


class OrchestratorError(Exception):
    """The orchestrator does not do what it must; the text says what happened and where to look."""


@dataclass(frozen=True)
class RenderOrder:
    """What the run is asked to do.

    Attributes:
        scene: the .blend file.
        frames: which of its frames.
        machines: at most so many share them.
        output: folder for frames and what they cost.
        seconds_per_frame: what a frame takes on a usual machine.
        within_min: minutes from the start of the render to its end.
        max_cost_usd: the budget.
    """

    scene: Path
    frames: range
    machines: int
    output: Path
    seconds_per_frame: float
    within_min: float
    max_cost_usd: float

    @property
    def frames_text(self) -> str:
        """The frames as both orchestrators take them, such as ``1-24``."""
        return f"{self.frames[0]}-{self.frames[-1]}"


class Orchestrator(Protocol):
    """A real one, with its own database in a folder of its own, and one run of the example in it.

    Each method may raise `OrchestratorError`, or `ProcessEndedError` when one of its processes is gone.
    """

    name: str
    #: What it calls a pipeline, alone and with its article and the orchestrator; and the demo's pipeline in words.
    noun: str
    run_by: str
    pipeline: str

    def version(self) -> str:
        """Of the orchestrator."""

    def start(self) -> None:
        """Start its processes, and return when the example can be run."""

    def trigger(self, order: RenderOrder) -> None:
        """Ask for the run, as its API lets anyone do it."""

    def run_url(self) -> str:
        """Where a browser shows the run."""

    def state(self) -> State:
        """How the run is; looks after the processes, too."""

    def stage(self) -> str:
        """What runs now, in a few words."""

    def asked(self) -> str | None:
        """The quote that a person is asked to approve now, as one sentence; None as long as nobody is asked."""

    def approve(self) -> None:
        """Approve it, as a click does."""

    def quoted(self) -> Quoted | None:
        """What was approved, as the run that has ended tells it; None when it did not get so far."""

    def problems(self) -> list[str]:
        """What of the run did not end as it must."""

    def keep_logs(self) -> None:
        """Put the logs of the run next to the processes' own."""
