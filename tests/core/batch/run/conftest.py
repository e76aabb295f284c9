"""Batches on the emulator: a studio with an account, a scene that renders quickly, and a clock that does not wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fast_clock import FastClock
from quick_renderer import command, write_scene

from octa_provider import OctaClient
from octa_provider.batch.batch import Batch
from octa_provider.batch.events import BatchEvent
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchResult
from octa_provider.batch.run.parts import Pacing
from octa_provider.emulator.testing import EmulatorHandle, start_emulator

#: Seconds that pass in a real one.
SPEED = 20.0
PACING = Pacing(poll_s=4.0, quiet_s=4.0, lost_after_s=200.0)


class Studio:
    """Somebody who renders batches.

    Attributes:
        emulator: where the machines are.
        octa: the client.
        scene: a folder with a scene.
        output: where frames go.
        events: what the last run told, without `progress`.
    """

    def __init__(self, emulator: EmulatorHandle, octa: OctaClient, folder: Path) -> None:
        self.emulator = emulator
        self.octa = octa
        self.scene = write_scene(folder / "scene")
        self.output = folder / "out"
        self.events: list[BatchEvent] = []

    def batch(self, frames: str = "1-12", *, frame_s: float = 0.0, **options: Any) -> Batch:
        """A batch whose frames take so many real seconds each."""
        renderer = options.pop("renderer", None) or Renderer("python:3.12", command(frame_s))
        return Batch(self.scene, frames, self.output, main="shot.py", renderer=renderer, **options)

    def run(self, batch: Batch, **options: Any) -> BatchResult:
        """Render it, and keep what it tells."""
        self.events = []
        on_event = options.pop("on_event", lambda event: None)

        def note(event: BatchEvent) -> None:
            if event.kind != "progress":
                self.events.append(event)
            on_event(event)

        return self.octa.batches.run(
            batch,
            "test/batch",
            private_key=self.emulator.ssh_private_key,
            pacing=PACING,
            on_event=note,
            **options,
        )

    def told(self, kind: str) -> list[BatchEvent]:
        """The events of a kind."""
        return [event for event in self.events if event.kind == kind]

    def starts(self) -> int:
        """How many sessions were asked for."""
        counts: dict[str, int] = self.emulator.ledger()["request_counts"]
        return sum(count for route, count in counts.items() if route.startswith("POST /services/mr"))

    def posts(self) -> int:
        """How many requests were made that can change anything."""
        counts: dict[str, int] = self.emulator.ledger()["request_counts"]
        return sum(count for route, count in counts.items() if not route.startswith("GET "))

    def nothing_runs(self) -> bool:
        """Whether no session runs."""
        return bool(self.emulator.ledger(requests=False)["running"] == 0)

    def charged_wei(self) -> int:
        """What all sessions were charged."""
        return int(self.emulator.ledger(requests=False)["billed_wei"])


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with (
        start_emulator(start_delay_s=0.1, speed=SPEED, machines=10) as emulator,
        OctaClient(emulator.api_key, base_url=emulator.base_url, clock=FastClock(SPEED)) as octa,
    ):
        yield Studio(emulator, octa, tmp_path)
