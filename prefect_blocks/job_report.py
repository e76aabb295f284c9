"""What a job shows in Prefect while it runs and when it has ended: log lines, a progress bar, its cost, its links."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect import artifacts
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException

from octa_provider.plain_log import plain_logger
from octa_provider.progress import ProgressTracker
from prefect_blocks.markdown import code, link

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.blocks.abstract import LoggerOrAdapter

    from octa_provider import JobResult

__all__ = ["JobReport"]

log = plain_logger("prefect_blocks.job_report")

UPDATE_S = 2.0
_NO_NAME = re.compile("[^a-z0-9]+")


class JobReport:
    """Told of a job's lines and end. A Prefect API that does not answer costs pictures, never the job.

    Args:
        name: names the artifacts.
        logger: gets the job's lines.
        tracker: tells from the lines how far the job is.
        about: what the job does, in words for the artifacts' descriptions; the name when left out.
        artifacts: whether to make artifacts; outside any run none are made.
    """

    def __init__(
        self,
        name: str,
        logger: LoggerOrAdapter,
        tracker: ProgressTracker,
        *,
        about: str | None = None,
        artifacts: bool = True,
    ) -> None:
        # In words alone: where the UI shows artifacts as cards, it leaves out what is marked as code.
        self._about = about or name
        self._name = _NO_NAME.sub("-", name.lower()).strip("-") or "job"
        self._logger = logger
        self._tracker = tracker
        self._in_run = artifacts and (FlowRunContext.get() is not None or TaskRunContext.get() is not None)
        self._bar: UUID | None = None
        self._updated = 0.0

    def line(self, line: str) -> None:
        """A line of the command's output."""
        self._logger.info("%s", line)
        fraction = self._tracker.feed(line)
        if fraction is not None and time.monotonic() - self._updated >= UPDATE_S:
            self._show(fraction)

    def ended(self, result: JobResult, urls: Mapping[int | str, str]) -> None:
        """The job has ended; `urls` is what it published while it ran, by port."""
        if result.succeeded and self._bar is not None:
            self._show(1.0)
        self._make(
            artifacts.create_table_artifact,
            key=f"octa-{self._name}-cost",
            description=f"What {self._about} came to",
            table=[
                {
                    "outcome": result.outcome.value,
                    "exit code": "" if result.exit_code is None else str(result.exit_code),
                    "node": str(result.node_id),
                    "session": result.uuid,
                    "seconds": "" if result.duration_s is None else f"{result.duration_s:g}",
                    "USD": "" if result.cost_usd is None else f"{result.cost_usd:.6f}",
                    "wei": "" if result.cost_wei is None else str(result.cost_wei),
                    "tries": str(result.attempts),
                }
            ],
        )
        links = [
            f"- port {port if isinstance(port, int) else code(port)}: {link(url)}"
            for port, url in sorted(urls.items(), key=str)
        ]
        links += [f"- output: {code(path)}" for path in result.outputs]
        links += [f"- log: {code(result.logs_path)}"] if result.logs_path else []
        if links:
            self._make(
                artifacts.create_markdown_artifact,
                key=f"octa-{self._name}-links",
                description=f"Where {self._about} answered while it ran, and what it left",
                markdown="\n".join(links),
            )

    def _show(self, fraction: float) -> None:
        self._updated = time.monotonic()
        percent = round(fraction * 100, 1)
        if self._bar is None:
            made = self._make(
                artifacts.create_progress_artifact,
                progress=percent,
                key=f"octa-{self._name}-progress",
                description=f"How far {self._about} is",
            )
            self._bar = made if isinstance(made, UUID) else None
        else:
            self._make(artifacts.update_progress_artifact, artifact_id=self._bar, progress=percent)

    def _make(self, make: Callable[..., Any], **values: Any) -> object:
        if not self._in_run:
            return None
        try:
            # We are in a thread, or in a plain function: a coroutine is never wanted here.
            return make(**values, _sync=True)
        except (httpx.HTTPError, PrefectException) as error:
            log.warning("an artifact could not be written: %s", error)
            return None
