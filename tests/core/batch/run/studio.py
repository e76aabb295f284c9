"""Somebody who renders batches on the emulator, with a clock that does not wait."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from octa_provider import OctaClient
from octa_provider.batch.batch import Batch
from octa_provider.batch.events import BatchEvent
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchOutcome, BatchResult
from octa_provider.batch.run.parts import Pacing
from octa_provider.emulator.testing import EmulatorHandle, start_emulator

try:
    from fast_clock import FastClock
    from quick_renderer import command, write_scene
except ImportError:
    from tests.core.batch.run.fast_clock import FastClock
    from tests.core.batch.run.quick_renderer import command, write_scene

#: Seconds that pass in a real one.
SPEED = 20.0
#: Of one batch, each with a plan of its own, on a busy computer.
MOST_QUOTES = 6
PACING = Pacing(poll_s=4.0, quiet_s=4.0, lost_after_s=200.0)


class Studio:
    """Somebody who renders batches.

    Attributes:
        emulator: where the machines are.
        octa: the client.
        clock: its clock.
        speed: seconds that pass in a real one.
        scene: a folder with a scene.
        output: where frames go.
        events: what the last run told, without `progress`.
        looked_at: Unix times: when the last run began, of each of its events, and when it returned.
    """

    def __init__(
        self, emulator: EmulatorHandle, octa: OctaClient, clock: FastClock, folder: Path, speed: float
    ) -> None:
        self.emulator = emulator
        self.octa = octa
        self.clock = clock
        self.speed = speed
        self.scene = write_scene(folder / "scene")
        self.output = folder / "out"
        self.events: list[BatchEvent] = []
        self.looked_at: list[float] = []
        self._known_at: dict[str, float] = {}
        self._overslept_s = 0.0
        self._charged_before = 0

    def begin_anew(self) -> None:
        """Forget the output, and what it has cost until now."""
        shutil.rmtree(self.output)
        self._charged_before += self.charged_wei()

    def batch(self, frames: str = "1-12", *, frame_s: float = 0.0, **options: Any) -> Batch:
        """A batch whose frames take so many real seconds each."""
        renderer = options.pop("renderer", None) or Renderer("python:3.12", command(frame_s))
        options = {"main": "shot.py", "scene": self.scene, **options}
        return Batch(frames=frames, output=self.output, renderer=renderer, **options)

    def run(self, batch: Batch, **options: Any) -> BatchResult:
        """Render it, and keep what it tells.

        A busy computer's seconds, of which each is many here, can spend what the plan said at most: then it is run
        again, as its message says, unless somebody has set, approved or been asked for a price.
        """
        self.events = []
        if batch.max_cost_usd is not None or {"quote", "approve", "pause_s"} & options.keys():
            return self._run(batch, **options)
        return _to_its_end(lambda: self._run(batch, **options))

    def resume(self) -> BatchResult:
        """Go on with what is in the output, by that alone."""
        key = self.emulator.ssh_private_key
        return _to_its_end(lambda: self.octa.batches.resume(self.output, private_key=key))

    def _run(self, batch: Batch, **options: Any) -> BatchResult:
        self.looked_at = [time.time()]
        on_event = options.pop("on_event", lambda event: None)

        def note(event: BatchEvent) -> None:
            self.looked_at.append(time.time())
            if event.kind == "machine rented" and event.uuid is not None:
                self._known_at[event.uuid] = time.time()
            if event.kind != "progress":
                self.events.append(event)
            on_event(event)

        options = {"pacing": PACING, "private_key": self.emulator.ssh_private_key, **options}
        try:
            return self.octa.batches.run(batch, "test/batch", on_event=note, **options)
        finally:
            self.looked_at.append(time.time())

    def sleep(self, seconds: float) -> None:
        """Let somebody else render on for so many seconds of the studio's clock."""
        began = time.time()
        self.octa.clock.sleep(seconds)
        self._overslept_s += max(0.0, time.time() - began - seconds / self.speed)

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

    def one_look_wei(self) -> int:
        """What the machines of the last run cost, at most, before it knew of them, between two of its looks, while it
        stopped them, and until it was back late: as long as each of that really took, on a computer that is busy."""
        gap_s = max(after - before for before, after in pairwise(self.looked_at))
        stop_s = self.looked_at[-1] - self.looked_at[-2]
        cost_wei = 0.0
        for session in self.emulator.ledger()["sessions"]:
            known_at = self._known_at.get(session["uuid"], self.looked_at[-1])
            unknown_s = max(0.0, known_at - session["started_ms"] / 1000)
            cost_wei += int(session["price_wei"]) * (unknown_s + gap_s + stop_s + self._overslept_s) * self.speed / 3600
        return int(cost_wei)

    def charged_wei(self) -> int:
        """What all sessions were charged, since the output was begun."""
        return int(self.emulator.ledger(requests=False)["billed_wei"]) - self._charged_before


def _to_its_end(run: Callable[[], BatchResult]) -> BatchResult:
    result = run()
    rendered = result.rendered
    for _ in range(MOST_QUOTES):
        if result.outcome is not BatchOutcome.OVER_BUDGET:
            break
        result = run()
        rendered += result.rendered
    return replace(result, rendered=rendered)


@contextmanager
def open_studio(folder: Path, *, speed: float = SPEED, **options: Any) -> Iterator[Studio]:
    """A studio with an emulator of its own.

    Args:
        folder: for its files; an empty one.
        speed: seconds that pass in a real one.
        options: of the emulator.
    """
    settings: dict[str, Any] = {"start_delay_s": 0.1, "machines": 10, **options}
    with (
        start_emulator(speed=speed, **settings) as emulator,
        OctaClient(
            emulator.api_key, base_url=emulator.base_url, clock=(clock := FastClock(speed, emulator.base_url))
        ) as octa,
    ):
        yield Studio(emulator, octa, clock, folder, speed)
