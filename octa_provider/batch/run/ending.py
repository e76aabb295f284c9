"""The end of a run: every frame looked at once more, the results written, the outcome told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from octa_provider.batch.plan import PlanLine
from octa_provider.batch.result import BatchOutcome, BatchResult
from octa_provider.batch.run.parts import BatchParts
from octa_provider.errors import OctaError
from octa_provider.render.frames import Frames
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.batch.folder.batch_folder import BatchFolder

__all__ = ["end_of", "results_left"]

log = plain_logger("octa_provider.batch.run.ending")


@contextmanager
def results_left(folder: BatchFolder) -> Iterator[None]:
    """A block which, when it raises, leaves the results as they are then: what was rented has cost something.

    Args:
        folder: of the batch.
    """
    try:
        yield
    except BaseException:
        if folder.history.machines:
            try:
                folder.write_results()
            except (OctaError, OSError) as error:
                log.warning("the results could not be written: %s", error)
        raise


def end_of(
    parts: BatchParts,
    outcome: BatchOutcome,
    message: str,
    *,
    line: PlanLine | None,
    done_before: int,
    seconds: float,
    machines: int,
    wake_after_s: float = 0.0,
    paid_for_s: float | None = None,
    sessions: tuple[str, ...] = (),
) -> BatchResult:
    """Look at every frame once more, write the results, and say how it ended.

    Args:
        parts: of the batch.
        outcome: as the coordinator has it.
        message: what a person should know.
        line: the plan that was followed.
        done_before: how many frames were accepted before this run.
        seconds: how long this run took.
        machines: how many were rented in this run.
        wake_after_s: of a paused run, seconds until somebody is to be back.
        paid_for_s: seconds until these have cost or run all that they may; None for no cap.
        sessions: those that it leaves running.
    """
    folder, batch = parts.folder, parts.batch
    missing = folder.check_whole()
    if missing and outcome in (BatchOutcome.WHOLE, BatchOutcome.LATE):
        outcome = BatchOutcome.INCOMPLETE
        message = "frames that were accepted are not there any more: somebody removed or changed them"
    elif not missing and outcome in (BatchOutcome.INCOMPLETE, BatchOutcome.OVER_BUDGET):
        # The last ones came while machines were being stopped.
        outcome, message = BatchOutcome.WHOLE, ""
    try:
        folder.write_results()
    except OctaError as error:
        message = f"{message}. The results could not be written: {error}" if message else str(error)
        log.error("the results could not be written: %s", error)
    return BatchResult(
        outcome=outcome,
        output=str(folder.path),
        frames=len(batch.numbers),
        done=len(batch.numbers) - len(missing),
        rendered=max(0, len(folder.accepted) - done_before),
        failed=dict(folder.failed),
        missing=str(Frames(tuple(missing))) if missing else "",
        message=message,
        cost_wei=folder.cost_wei,
        cost_usd=folder.cost_usd,
        planned_cost_usd=None if line is None else (line.cost_usd.p50, line.cost_usd.p90),
        seconds=seconds,
        machines=machines,
        wake_after_s=wake_after_s,
        paid_for_s=paid_for_s,
        sessions=sessions,
    )
