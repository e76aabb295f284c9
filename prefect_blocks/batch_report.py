"""What a batch shows in Prefect: log lines, how far it is, the quote, the bill beside it, the contact sheet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect import artifacts
from prefect.context import FlowRunContext, TaskRunContext

from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import shown_usd
from prefect_blocks.batch_sheet import BatchSheet
from prefect_blocks.batch_totals import cost_table
from prefect_blocks.events import emit_of, payload_of
from prefect_blocks.reports import Reports

if TYPE_CHECKING:
    from prefect.blocks.abstract import LoggerOrAdapter

    from octa_provider import BatchEvent, BatchProgress

__all__ = ["BatchReport"]

#: Seconds between two pictures of how far the batch is.
UPDATE_S = 5.0
#: Seconds between two lines that say so.
LINE_S = 30.0
#: Seconds to wait at the end, when all machines are stopped, for what is still to be told.
FLUSH_S = 5.0
_WORDS = {
    "waiting": "waiting for a machine",
    "machine rented": "{machine} is rented",
    "machine refused": "{machine} was not rented",
    "machine ready": "{machine} is ready",
    "machine ended": "{machine} was let go",
    "frame refused": "frame {frame} of {machine} was refused",
    "frame given up": "frame {frame} was given up",
    "scene warning": "the scene may not be as you want it",
    "scene error": "the scene can't be rendered",
}
_WARNINGS = ("frame given up", "frame refused", "scene warning", "scene error")
_EVENTS = {"machine rented": "started", "machine ready": "ready", "machine ended": "stopped"}


class BatchReport:
    """Told what happens in a batch. A Prefect API that does not answer costs pictures, never the batch or its time.

    Args:
        about: what is rendered, in words: `Frames 1-240 of shot.blend`.
        key: the rental key of the whole, for events.
        logger: gets the lines.
        labels: of its machines' sessions, for events.

    Attributes:
        expected_usd: what it is expected to cost, in USD, where that is known.
    """

    def __init__(self, about: str, key: str, logger: LoggerOrAdapter, labels: Mapping[str, str] | None = None) -> None:
        self.expected_usd: float | None = None
        # In words alone: where the UI shows artifacts as cards, it leaves out what is marked as code.
        self._about = plain_words(about)
        self._key = key
        self._logger = logger
        self._labels = labels
        self._in_run = FlowRunContext.get() is not None or TaskRunContext.get() is not None
        self._reports = Reports()
        self._uuids: dict[int, str] = {}
        self._bar: UUID | None = None
        self._drawn_at: float | None = None
        self._drawn: tuple[float, str] | None = None
        self._said_at: float | None = None
        self._said = ""

    def event(self, event: BatchEvent) -> None:
        """One thing that happened.

        Args:
            event: as the core tells it.
        """
        words = _WORDS.get(event.kind)
        if words is not None:
            text = words.format(machine=event.machine, frame=event.frame)
            say = self._logger.warning if event.kind in _WARNINGS else self._logger.info
            say("%s", plain_words(f"{text}: {event.reason}" if event.reason else text))
        if event.uuid is not None and event.slot is not None:
            self._uuids[event.slot] = event.uuid
        uuid = event.uuid or self._uuids.get(-1 if event.slot is None else event.slot)
        if event.kind in _EVENTS and uuid is not None:
            payload = payload_of(reason=event.reason)
            emit_of(_EVENTS[event.kind], uuid, event.node_id, self._key, payload, name=self._about, labels=self._labels)
        self._move(event.progress, at_once=event.kind == "ended")

    def say(self, text: str) -> None:
        """Tell something in the run's log.

        Args:
            text: one sentence.
        """
        self._logger.info("%s", text)

    def warn(self, text: str) -> None:
        """The same as a warning.

        Args:
            text: one sentence.
        """
        self._logger.warning("%s", text)

    def quote(self, markdown: str) -> None:
        """Show what the batch would cost.

        Args:
            markdown: a table in which no word of a stranger is more than text.
        """
        self._make(
            "quote",
            artifacts.create_markdown_artifact,
            key="octa-render-quote",
            description=f"What it would cost: {self._about}",
            markdown=markdown,
        )
        self._reports.flush(FLUSH_S)

    def ended(self, totals: dict[str, Any], sheet: BatchSheet | None) -> None:
        """The batch has ended, and its machines are stopped. Takes some seconds at most.

        Args:
            totals: what it came to.
            sheet: its contact sheet, where there is one.
        """
        self._make(
            "cost",
            artifacts.create_table_artifact,
            key="octa-render-cost",
            table=cost_table(totals),
            description=f"Quote and bill: {self._about}",
        )
        if sheet is not None:
            self._make(
                "sheet",
                artifacts.create_markdown_artifact,
                key="octa-render-sheet",
                markdown=sheet.markdown(self._about),
                description=f"Contact sheet: {self._about}",
            )
        self._reports.flush(FLUSH_S)

    def _move(self, progress: BatchProgress, *, at_once: bool) -> None:
        text = self._words(progress)
        now = time.monotonic()
        if text != self._said and (at_once or self._said_at is None or now - self._said_at >= LINE_S):
            self._said_at, self._said = now, text
            self.say(text)
        drawn = (round(100.0 * progress.done / progress.frames, 1), f"{self._about}: {text}")
        if not self._in_run or drawn == self._drawn:
            return
        if at_once or self._drawn_at is None or now - self._drawn_at >= UPDATE_S:
            self._drawn_at, self._drawn = now, drawn
            self._reports.put("progress", partial(self._draw, *drawn))

    def _words(self, progress: BatchProgress) -> str:
        return progress.words("" if self.expected_usd is None else f" of some {shown_usd(self.expected_usd)}")

    def _draw(self, percent: float, text: str) -> None:
        """In the thread of the reports: draw the bar, or move it."""
        if self._bar is not None:
            artifacts.update_progress_artifact(self._bar, percent, text, _sync=True)  # type: ignore[call-arg]
            return
        made: object = artifacts.create_progress_artifact(percent, "octa-render-progress", text, _sync=True)  # type: ignore[call-arg]
        self._bar = made if isinstance(made, UUID) else None

    def _make(self, kind: str, make: Callable[..., Any], **values: Any) -> None:
        if self._in_run:
            # A coroutine is never wanted here.
            self._reports.put(kind, partial(make, **values, _sync=True))
