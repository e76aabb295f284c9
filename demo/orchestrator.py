"""What the demo wants of an orchestrator; `airflow_render` and `prefect_render` give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from demo.bill import MachineBill

State = Literal["waiting", "running", "succeeded", "failed"]


class OrchestratorError(Exception):
    """The orchestrator does not do what it must; the text says what happened and where to look."""


@dataclass(frozen=True)
class RenderOrder:
    """What the run is asked to do.

    Attributes:
        scene: the .blend file.
        frames: which of its frames.
        machines: how many share them.
        output: folder for frames and the bill.
    """

    scene: Path
    frames: range
    machines: int
    output: Path

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

    def problems(self) -> list[str]:
        """What of the run did not end as it must."""

    def bills(self, output: Path, gpus: Mapping[int, str]) -> list[MachineBill]:
        """What each machine did and cost, as the run has told it; nothing when it did not get so far.

        Args:
            output: the folder of the order.
            gpus: the GPU model of each node; the bill names only the node.
        """

    def keep_logs(self) -> None:
        """Put the logs of the run next to the processes' own."""
