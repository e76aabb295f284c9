"""Where a row of the fault table takes place: a stage of its own, and what the log says meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from octa_provider.batch.batch import Batch
from octa_provider.batch.events import BatchEvent
from octa_provider.batch.result import BatchOutcome, BatchResult
from tests.chaos.blender_stage import FRAMES, PACING, Scenes, blender_batch, open_stage
from tests.chaos.fault_row import Row, row_of
from tests.core.batch.run.studio import Studio

__all__ = ["WHOLE", "Ground", "open_fault_ground"]

#: On a busy computer a batch may come after its deadline.
WHOLE = (BatchOutcome.WHOLE, BatchOutcome.LATE)


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


@dataclass
class Ground:
    """Where a row takes place.

    Attributes:
        studio: the stage.
        scenes: what can be rendered.
        folder: for other files.
        log: what was logged.
        events: of all runs.
    """

    studio: Studio
    scenes: Scenes
    folder: Path
    log: list[str] = field(default_factory=list)
    events: list[BatchEvent] = field(default_factory=list)

    def batch(self, **options: Any) -> Batch:
        """As `blender_batch` makes it."""
        return blender_batch(self.studio, self.scenes, **options)

    def run(self, batch: Batch, **options: Any) -> BatchResult:
        """Render it; its events are added to those of the runs before."""
        try:
            return self.studio.run(batch, pacing=PACING, **options)
        finally:
            self.events += self.studio.events

    def row(
        self,
        name: str,
        result: BatchResult,
        *,
        told: str = "",
        outcomes: tuple[BatchOutcome, ...] = WHOLE,
        frames: str = FRAMES,
    ) -> Row:
        """What became of the last run; arguments as `row_of` takes them."""
        return row_of(
            self.studio,
            name,
            result,
            frames=frames,
            outcomes=outcomes,
            told=told,
            words=self.log,
            events=self.events,
        )


@contextmanager
def open_fault_ground(folder: Path, scenes: Scenes, **options: Any) -> Iterator[Ground]:
    """A ground for a `with` block.

    Args:
        folder: for its files; an empty one.
        scenes: those of `make_scenes`.
        options: of the emulator.
    """
    logger = logging.getLogger("octa_provider")
    before = logger.level
    with open_stage(folder / "studio", **options) as studio:
        ground = Ground(studio, scenes, folder)
        handler = _Lines(ground.log)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield ground
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)
