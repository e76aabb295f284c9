"""What a batch tells of itself and its machines, and what it is told: all of it through the journal."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from octa_provider.batch.folder.history import History
from octa_provider.batch.folder.journal import Journal
from octa_provider.batch.folder.lines import (
    BilledLine,
    GivenUpLine,
    Line,
    MeasuredLine,
    PlannedLine,
    RentedLine,
    RentingLine,
)
from octa_provider.batch.folder.work import Measured, Spans
from octa_provider.text.plain_text import plain_words

if TYPE_CHECKING:
    from octa_provider.batch.plan import PlanLine
    from octa_provider.rental.terms import Bill

__all__ = ["BatchBook", "clause"]

_MOST_WHY_CHARS = 500


class BatchBook:
    """What is known of a batch. Whatever is told is in the journal, and on the disk, before it counts.

    Each method that tells something raises OctaLocalFileError when the disk refuses; then nothing has changed.

    Args:
        history: what has happened.
        journal: open for more.

    Attributes:
        history: what has happened; `add` changes it.
        journal: what it is in.
        changing: held while anything is written: frames can be accepted in threads.
    """

    def __init__(self, history: History, journal: Journal) -> None:
        self.history = history
        self.changing = threading.RLock()
        self.journal = journal

    def close(self) -> None:
        """Write no more; a second time does nothing."""
        self.journal.close()

    def add(self, *lines: Line) -> None:
        """Write lines into the journal, and make what they tell count.

        Args:
            lines: in their order.
        """
        with self.changing:
            self.journal.append(*lines)
            for line in lines:
                self.history.add(line)

    @property
    def failed(self) -> Mapping[int, str]:
        """The frames that were given up in this run, and why."""
        return self.history.failed

    @property
    def tried(self) -> Mapping[int, tuple[int, ...]]:
        """The nodes that gave no whole copy of a frame that is not accepted, by frame."""
        return self.history.tried

    @property
    def measurement(self) -> Measured | None:
        """What the first machine told of the scene, in this run or an earlier one."""
        return self.history.measured

    @property
    def cost_wei(self) -> int | None:
        """What the machines of all runs were charged, in wei; None where the API does not tell of one of them."""
        return self.history.cost_wei

    @property
    def spent_wei(self) -> int:
        """The same, with what is known where the API does not tell of one: a budget is not forgotten for that."""
        return self.history.spent_wei

    @property
    def cost_usd(self) -> float | None:
        """The same in USD, for display."""
        return self.history.cost_usd

    @property
    def next_slot(self) -> int:
        """The lowest number that no machine of this folder has had."""
        return self.history.last_slot + 1

    @property
    def open_rentals(self) -> dict[int, tuple[str, str | None]]:
        """Key and session of each rental without an end, by its number; the session is None where it is not known."""
        return self.history.open_rentals

    def give_up(self, frame: int, why: str) -> None:
        """A frame is not tried any more in this run.

        Args:
            frame: its number.
            why: as one clause.
        """
        self.add(GivenUpLine(frame, clause(why)))

    def renting(self, slot: int, node_id: int, key: str) -> None:
        """A machine is about to be rented. Call it before the start: a restart knows then which numbers were used.

        Args:
            slot: the number that it gets in the batch.
            node_id: the machine.
            key: the rental key, whole.
        """
        self.add(RentingLine(slot, node_id, key))

    def rented(
        self,
        slot: int,
        uuid: str,
        node_id: int,
        price_wei: int | None,
        price_usd: float | None,
        score: float | None = None,
    ) -> None:
        """A machine is rented.

        Args:
            slot: its number in the batch.
            uuid: its session.
            node_id: the machine.
            price_wei: wei per hour; None when not known.
            price_usd: USD per hour; None when not known.
            score: the machine's, in the unit of the plan.
        """
        self.add(RentedLine(slot, node_id, uuid, _digits(price_wei), price_usd, score))

    def ended(self, slot: int, bill: Bill | None, spans: Spans, why: str) -> None:
        """A machine's rental has ended, or was seen to have ended long ago.

        Args:
            slot: its number in the batch.
            bill: what it came to; None when nothing tells. It can be told again when more is known.
            spans: how its time went.
            why: why it ended, as one clause.
        """
        line = BilledLine(slot, clause(why), spans)
        if bill is not None:
            line = BilledLine(
                slot, line.why, spans, bill.uuid, _digits(bill.charge_wei), bill.charge_usd, bill.duration_s
            )
        self.add(line)

    def measured(self, measured: Measured) -> None:
        """The first machine told of the scene.

        Args:
            measured: what.
        """
        self.add(MeasuredLine(measured))

    def planned(self, line: PlanLine) -> None:
        """A run follows this plan.

        Args:
            line: the plan's line that was chosen.
        """
        plan: dict[str, Any] = {name: getattr(line, name) for name in line.__dataclass_fields__ if name != "machines"}
        for name in ("cost_p50_wei", "cost_p90_wei", "cost_most_wei"):
            plan[name] = str(plan[name])
        plan["cost_usd"], plan["finish_s"] = asdict(line.cost_usd), asdict(line.finish_s)
        plan["machines"] = [
            {"node_id": one.estimate.node_id, "frames": one.frames, "rent_s": one.rent_s} for one in line.machines
        ]
        self.add(PlannedLine(plan))


def clause(why: str) -> str:
    """A reason as one line of plain text, no longer than a line of a journal should be.

    Args:
        why: the reason, of which a part can be a stranger's.
    """
    return plain_words(why.replace("\n", " "))[:_MOST_WHY_CHARS]


def _digits(wei: int | None) -> str | None:
    return None if wei is None else str(wei)
