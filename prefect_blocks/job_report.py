"""What a job shows in Prefect while it runs and when it has ended: log lines, a progress bar, its cost, its links."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect import artifacts
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, TaskRunContext

from octa_provider.job.keeping import when_text
from octa_provider.render.progress import ProgressTracker
from octa_provider.rental.stop import stop_command
from octa_provider.wire.money import usd_text
from prefect_blocks.cost_artifact import artifact_name, flow_run_id_here, put_cost, row
from prefect_blocks.markdown import code, link
from prefect_blocks.reports import Reports

if TYPE_CHECKING:
    from prefect.blocks.abstract import LoggerOrAdapter

    from octa_provider import JobResult
    from octa_provider.job.state import JobState
    from octa_provider.rental.terms import Bill
    from octa_provider.rental.tried_machine import TriedMachine

__all__ = ["JobReport"]

UPDATE_S = 2.0
#: Seconds to wait at the end, when the machine is stopped, for what is still to be told.
FLUSH_S = 5.0


class JobReport:
    """Told of a job's lines and end. A Prefect API that does not answer costs pictures, never the job or its time.

    Args:
        name: names the artifacts.
        logger: gets the job's lines.
        tracker: tells from the lines how far the job is.
        artifacts: whether to make artifacts; outside any run none are made.

    Attributes:
        about: what the job is called, in words.
    """

    def __init__(
        self,
        name: str,
        logger: LoggerOrAdapter,
        tracker: ProgressTracker,
        *,
        artifacts: bool = True,
    ) -> None:
        # In words alone: where the UI shows artifacts as cards, it leaves out what is marked as code.
        self.about = name
        self._name = artifact_name(name)
        self._flow_run_id = flow_run_id_here()
        self._logger = logger
        self._tracker = tracker
        self._in_run = artifacts and (FlowRunContext.get() is not None or TaskRunContext.get() is not None)
        self._reports = Reports()
        self._bar: UUID | None = None
        self._has_shown = False
        self._updated = 0.0

    def line(self, line: str) -> None:
        """A line of the command's output has come: it is logged, and may move the bar.

        Args:
            line: without its end.
        """
        self._logger.info("%s", line)
        self._move(self._tracker.feed(line))

    def unfinished(self, text: str) -> None:
        """A line that has not ended, such as a progress bar, is drawn anew: it moves the bar, and is not logged.

        Args:
            text: the line as it stands.
        """
        self._move(self._tracker.feed_unfinished(text))

    def _move(self, fraction: float | None) -> None:
        if fraction is not None and time.monotonic() - self._updated >= UPDATE_S:
            self._show(fraction)

    def say(self, text: str) -> None:
        """Tell something about the job in the run's log.

        Args:
            text: one sentence.
        """
        self._logger.info("%s", text)

    def warn(self, text: str) -> None:
        """Tell in the run's log, as a warning, what went otherwise than it should.

        Args:
            text: one sentence.
        """
        self._logger.warning("%s", text)

    def ended(self, result: JobResult, urls: Mapping[int | str, str], labels: Mapping[str, str] | None = None) -> None:
        """The job has ended, its machine is stopped, or kept: tell what it came to. Takes some seconds at most.

        Args:
            result: what it came to.
            urls: what it published while it ran: port to URL.
            labels: what its session is labelled with.
        """
        cost = "" if result.cost_usd is None else f", {usd_text(result.cost_usd, 6)}"
        if result.kept_until is None:
            self.say(f"Session {result.uuid} was stopped; the job: {result.outcome.value}{cost}")
        else:
            self.warn(
                f"Session {result.uuid} is kept since its command failed, and BILLS ON, until "
                f"{when_text(result.kept_until)} at most where the reaper runs{cost and f'; so far{cost[1:]}'}. "
                f"Stop it now: {stop_command([result.uuid])}"
            )
        if result.succeeded and self._has_shown:
            self._show(1.0)
        if result.succeeded and self._tracker.counts_frames and self._tracker.total is None:
            self.warn("There was no progress bar: Blender's frames need progress_total, the number of frames")
        elif result.succeeded and self._tracker.fraction is None and self._tracker.total is not None:
            self.warn("progress_total had no effect: no line of the output told how far the job was; see progress")
        if not result.succeeded:
            self._take_bar_away()
        spent = None if result.cost_usd is None else result.cost_usd - sum(one.cost_usd or 0.0 for one in result.tried)
        new = row(
            result.outcome.value if result.kept_until is None else f"{result.outcome.value}, kept: bills on",
            uuid=result.uuid,
            node_id=result.node_id,
            duration_s=result.duration_s,
            cost_usd=spent,
            exit_code=result.exit_code,
            done=1.0 if result.succeeded else self._tracker.fraction,
            labels=labels,
        )
        self._bill(result.tried, new)
        links = [
            f"- port {port if isinstance(port, int) else code(port)}: {link(url)}"
            for port, url in sorted(urls.items(), key=str)
        ]
        links += [f"- output: {code(path)}" for path in result.outputs]
        links += [f"- log: {code(result.logs_path)}"] if result.logs_path else []
        if links:
            self._make(
                "links",
                artifacts.create_markdown_artifact,
                key=f"octa-{self._name}-links",
                description=f"Where {self.about} answered while it ran, and what it left",
                markdown="\n".join(links),
            )
        self._reports.flush(FLUSH_S)

    def cut_short(self, bill: Bill, state: JobState) -> None:
        """The job was cancelled, or can't be followed, and its machine is stopped. Takes some seconds at most.

        Args:
            bill: what the machine came to until it was seen gone.
            state: how far the job was.
        """
        cost = "" if bill.charge_usd is None else f", {usd_text(bill.charge_usd, 6)}"
        self.say(f"Session {bill.uuid} was stopped after {bill.duration_s} s{cost}")
        self._take_bar_away()
        new = row(
            "stopped",
            uuid=bill.uuid,
            node_id=state.rental.node_id,
            duration_s=bill.duration_s,
            cost_usd=bill.charge_usd,
            exit_code=state.exit_code,
            done=self._tracker.fraction,
            labels=state.rental.labels,
        )
        self._bill(state.tried, new)
        self._reports.flush(FLUSH_S)

    def _take_bar_away(self) -> None:
        if self._in_run:
            # A ring that stays where it was looks like a job that still runs; how far it was is in the bill.
            self._reports.put("progress", self._undraw)

    def _bill(self, tried: Iterable[TriedMachine], new: dict[str, str]) -> None:
        before = [
            row(
                "replaced" if one.replaced else "never up",
                uuid=one.uuid,
                node_id=one.node_id,
                duration_s=one.duration_s,
                cost_usd=one.cost_usd,
            )
            for one in tried
        ]
        if self._in_run:
            self._reports.put("cost", partial(self._put_rows, [*before, new]))

    def _show(self, fraction: float) -> None:
        self._updated = time.monotonic()
        self._has_shown = True
        if self._in_run:
            self._reports.put("progress", partial(self._draw, round(fraction * 100, 1)))

    def _draw(self, percent: float) -> None:
        """In the thread of the reports: draw the bar, or move it."""
        if self._bar is not None:
            artifacts.update_progress_artifact(artifact_id=self._bar, progress=percent, _sync=True)  # type: ignore[call-arg]
            return
        made: object = artifacts.create_progress_artifact(
            progress=percent,
            key=f"octa-{self._name}-progress",
            description=f"How far {self.about} is",
            _sync=True,  # type: ignore[call-arg]
        )
        self._bar = made if isinstance(made, UUID) else None

    def _undraw(self) -> None:
        """In the thread of the reports: take the bar away."""
        if self._bar is not None:
            with get_client(sync_client=True) as prefect:
                prefect.delete_artifact(self._bar)
            self._bar = None

    def _put_rows(self, rows: list[dict[str, str]]) -> None:
        """In the thread of the reports: a row for each session."""
        for one in rows:
            put_cost(self._name, self.about, one, self._flow_run_id)

    def _make(self, kind: str, make: Callable[..., Any], **values: Any) -> None:
        if self._in_run:
            # A coroutine is never wanted here.
            self._reports.put(kind, partial(make, **values, _sync=True))
