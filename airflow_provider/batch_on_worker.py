"""A batch on a worker: rendered by the core until it has ended, or until its machines have work for a while.

Imported by a task that runs, not by a DAG file: what is needed to follow a batch takes its time to import.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider.exceptions import OctaBatchIncompleteError, OctaTaskKilledError
from airflow_provider.lineage.run_bill import RunBill
from airflow_provider.links import push_batch
from airflow_provider.task_memory import TaskMemory
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.output_mark import check_mark, leave_mark
from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import shown
from octa_provider.text.carried import carried_dict
from octa_provider.text.plain_text import plain_message
from octa_provider.text.quantities import counted
from octa_provider.wire.money import cost_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from octa_provider import BatchQuote
    from octa_provider.batch.batch import Batch
    from octa_provider.batch.events import BatchEvent
    from octa_provider.batch.result import BatchResult

__all__ = ["BatchTask", "only_our_lines", "quote_of", "same_folder"]

#: A range of frames that follow no rule may be long; XCom and a log line are no place for it.
MOST_RANGE_CHARS = 2000
#: More reasons for frames that were given up are counted.
MOST_REASONS = 5
_IN_EVENTS = ("output", "frames", "done", "cost_wei", "cost_usd", "manifest", "sheet")


def same_folder(context: Context, batch: Batch, *marks: object) -> str:
    """See that the output folder is the one that others of this run have seen, before any money is spent.

    Args:
        context: of the task that runs.
        batch: what is to be rendered.
        marks: what others have been told of it, such as the plan; None for nothing.

    Returns:
        The folder's mark.

    Raises:
        OctaConfigError: it is another one, or none that a batch can be rendered into.
        OctaLocalFileError: its disk refuses.
    """
    memory, place = TaskMemory(context), str(Layout.of(batch.output_path).output)
    for mark in (*marks, memory.mark_of(place)):
        if isinstance(mark, str) and mark:
            check_mark(batch.output_path, mark)
    mark = leave_mark(batch.output_path)
    memory.keep_mark(place, mark)
    return mark


@contextmanager
def only_our_lines() -> Iterator[None]:
    """Within the block the core does not log what `BatchLog` tells: a line for each frame would be too many."""
    logger = logging.getLogger("octa_provider.batch.run.teller")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


@dataclass
class BatchTask:
    """What the task of a batch tells, and how it ends.

    Attributes:
        operator: the task's; its outlets are told, and its log is written to.
        context: of the task.
        batch: what is rendered.
        quote: what was approved; None where nobody was asked.
        earlier: what this try has done before it deferred, as `so_far` gave it.
        run_bill: is told what the batch came to.
        rented: the sessions of the machines that this try has rented or found.
    """

    operator: BaseOperator
    context: Context
    batch: Batch
    quote: BatchQuote | None
    earlier: Mapping[str, Any]
    run_bill: RunBill = field(default_factory=RunBill)
    rented: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Go on where this try was when it deferred."""
        self.rented |= set(self.earlier.get("rented") or ())
        self._began_at = self.earlier.get("began_at") or time.time()

    def event(self, event: BatchEvent) -> None:
        """One thing that has happened."""
        if event.uuid is not None:
            self.rented.add(event.uuid)

    @property
    def layout(self) -> Layout:
        """The places in the output folder."""
        return Layout.of(self.batch.output_path)

    def link(self) -> None:
        """Fill the task's links, before anything lies there: Airflow 3 shows them while it runs."""
        push_batch(self.context["ti"], self.layout.manifest, self.layout.sheet)

    def so_far(self, result: BatchResult) -> dict[str, Any]:
        """What this try has done until now, for the one that goes on with it.

        Args:
            result: of the run that has ended now.
        """
        rendered = (self.earlier.get("rendered") or 0) + result.rendered
        return {"rendered": rendered, "rented": sorted(self.rented), "began_at": self._began_at}

    def conclude(self, result: BatchResult, *, is_killed: bool) -> dict[str, Any]:
        """Tell what the batch came to, and end the task as it ended. Nothing runs any more.

        Args:
            result: of its last run.
            is_killed: whether the task was killed.

        Returns:
            What goes into XCom, of a batch whose frames are all there.

        Raises:
            OctaTaskKilledError: the task was killed.
            OctaBatchIncompleteError: frames are missing; another try may do better.
            AirflowFailException: none can.
        """
        log = self.operator.log
        told = self._told(result, None if is_killed else self._sheet())
        log.info(
            "%s: %d of %s, %d rendered by %s; cost of the batch: %s%s",
            result.outcome.value.capitalize(),
            result.done,
            counted(result.frames, "frame"),
            told["rendered"],
            counted(told["machines"], "machine"),
            cost_text(result.cost_wei, result.cost_usd, octa_digits=6, unknown="unknown"),
            "" if self.quote is None else f"; quoted: {self.quote.text}",
        )
        self.run_bill.batch_ended(told)
        self._tell(told)
        if is_killed:
            raise OctaTaskKilledError("The task was killed; all machines of the batch are stopped.")
        if result.is_whole:
            if result.outcome is BatchOutcome.LATE:
                log.warning("Every frame is there, but later than asked for (finish_within_s).")
            return told
        message = plain_message(self._why(result))
        if result.outcome is BatchOutcome.INCOMPLETE:
            raise OctaBatchIncompleteError(message)
        raise AirflowFailException(message)

    def _told(self, result: BatchResult, sheet: Path | None) -> dict[str, Any]:
        quoted = None if self.quote is None else self.quote.chosen
        value = {
            "outcome": result.outcome.value,
            "output": result.output,
            "frames": result.frames,
            "done": result.done,
            "rendered": self.so_far(result)["rendered"],
            "missing": _short(result.missing),
            "message": result.message,
            "cost_wei": None if result.cost_wei is None else str(result.cost_wei),
            "cost_usd": result.cost_usd,
            "planned_cost_usd": None if result.planned_cost_usd is None else list(result.planned_cost_usd),
            "quoted_cost_p50_usd": None if quoted is None else quoted.cost_p50_usd,
            "quoted_cost_p90_usd": None if quoted is None else quoted.cost_p90_usd,
            "quoted_cost_most_usd": None if quoted is None else quoted.cost_most_usd,
            "seconds": round(time.time() - self._began_at, 3),
            "machines": len(self.rented),
            "manifest": str(self.layout.manifest),
            "sheet": None if sheet is None else str(sheet),
        }
        return carried_dict(value)

    def _sheet(self) -> Path | None:
        from octa_provider.batch.film.sheet import contact_sheet

        try:
            return contact_sheet(self.batch.output_path)
        except Exception as error:  # noqa: BLE001 - for want of a picture no batch is lost
            self.operator.log.info("No contact sheet: %s", plain_message(str(error)))
            return None

    def _tell(self, told: Mapping[str, Any]) -> None:
        ti = self.context["ti"]
        push_batch(ti, self.layout.manifest, self.layout.output if told["sheet"] is None else Path(told["sheet"]))
        # Of a batch that failed too, which returns nothing.
        ti.xcom_push(key="batch", value=dict(told))
        for outlet in self.operator.outlets or ():
            if hasattr(outlet, "uri"):
                self.context["outlet_events"][outlet].extra.update({name: told[name] for name in _IN_EVENTS})

    def _why(self, result: BatchResult) -> str:
        parts = [f"The batch in {shown(result.output)} is not whole ({result.outcome.value})"]
        if result.message:
            parts.append(result.message)
        text = ": ".join(parts)
        if result.missing:
            text += f". Missing: {_short(result.missing)}"
        reasons: dict[str, list[int]] = {}
        for number, why in (result.failed or {}).items():
            reasons.setdefault(why, []).append(number)
        for why, numbers in list(reasons.items())[:MOST_REASONS]:
            text += f"\nFrame {numbers[0]}" + (f" and {len(numbers) - 1} more" if numbers[1:] else "") + f": {why}"
        if len(reasons) > MOST_REASONS:
            text += f"\nand {len(reasons) - MOST_REASONS} other reasons"
        return text


def quote_of(value: object) -> BatchQuote | None:
    """The quote that a plan step returned.

    Args:
        value: what was given as `quote`, rendered; None or an empty text for none.

    Raises:
        OctaConfigError: it is no quote.
    """
    from octa_provider import BatchQuote

    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        return None
    if not isinstance(value, Mapping):
        raise OctaConfigError(
            f"quote is a {type(value).__name__}: give what OctaPlanRenderOperator returned, as in quote=plan.output."
        )
    return BatchQuote.from_dict(value)


def _short(missing: str) -> str:
    if len(missing) <= MOST_RANGE_CHARS:
        return missing
    return f"{missing[:MOST_RANGE_CHARS].rpartition(',')[0]},... (all of them are in the manifest)"
