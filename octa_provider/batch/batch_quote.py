"""`BatchQuote`: what a person is asked to approve, as a small value that travels between the steps of a pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from octa_provider.errors import OctaConfigError
from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import counted, shown_duration, shown_usd
from octa_provider.wire.money import octa_text

if TYPE_CHECKING:
    from octa_provider.batch.plan import Plan, PlanLine

__all__ = ["BatchQuote", "QuoteOption"]

#: Of reasons why machines were not planned with; the others are counted.
_MOST_REASONS = 20
_MOST_CHARS = 300
#: Of a sum in wei: far more than there is.
_MOST_DIGITS = 40


@dataclass(frozen=True)
class QuoteOption:
    """One way to render the batch, without the names of its machines.

    Attributes:
        name: `cheapest`, `by the deadline` or `fastest for the budget`.
        machines: how many it rents.
        cost_p50_usd, cost_p90_usd: USD, as likely more as less, and nine times in ten no more; 0 where no machine
            tells its price in USD.
        cost_most_usd: USD; the batch is stopped before it costs more.
        cost_p50_wei, cost_p90_wei, cost_most_wei: the same in wei, exact, as text: JSON's readers lose digits.
        finish_p50_s, finish_p90_s: seconds from the start.
        startup_share, transfer_share: shares of the money that go into starting machines and sending the scene, 0 to 1.
    """

    name: str
    machines: int
    cost_p50_usd: float
    cost_p90_usd: float
    cost_most_usd: float
    cost_p50_wei: str
    cost_p90_wei: str
    cost_most_wei: str
    finish_p50_s: float
    finish_p90_s: float
    startup_share: float
    transfer_share: float

    @classmethod
    def of(cls, line: PlanLine) -> QuoteOption:
        """A line of a plan.

        Args:
            line: the line.
        """
        return cls(
            name=line.name,
            machines=len(line.machines),
            cost_p50_usd=line.cost_usd.p50,
            cost_p90_usd=line.cost_usd.p90,
            cost_most_usd=line.cost_most_usd,
            cost_p50_wei=str(line.cost_p50_wei),
            cost_p90_wei=str(line.cost_p90_wei),
            cost_most_wei=str(line.cost_most_wei),
            finish_p50_s=line.finish_s.p50,
            finish_p90_s=line.finish_s.p90,
            startup_share=line.startup_share,
            transfer_share=line.transfer_share,
        )

    @property
    def most_wei(self) -> int:
        """What it costs at most, in wei."""
        return int(self.cost_most_wei)

    def text(self, frames: int) -> str:
        """What would be spent, as one sentence.

        Args:
            frames: how many it renders.
        """
        usual, likely, most = self.costs()
        return (
            f"{counted(frames, 'frame')} on {counted(self.machines, 'machine')} ({self.name}): {usual}, nine times in "
            f"ten no more than {likely}, stopped at {most}; done in {shown_duration(self.finish_p50_s)}, nine times in "
            f"ten within {shown_duration(self.finish_p90_s)}"
        )

    def costs(self) -> tuple[str, str, str]:
        """The three sums as text: as likely more as less, nine times in ten no more, at most."""
        return (
            _amount(self.cost_p50_usd, self.cost_p50_wei),
            _amount(self.cost_p90_usd, self.cost_p90_wei),
            _amount(self.cost_most_usd, self.cost_most_wei),
        )


@dataclass(frozen=True)
class BatchQuote:
    """What a batch would cost, as it was said to whoever approves it.

    Attributes:
        frames: how many are to be rendered.
        chosen: what is approved: a run follows a plan of this kind, and never costs more than its "at most".
        options: all lines that can be met, the chosen one among them.
        unmet: why the others can't be, a sentence each.
        refusals: why machines were not planned with, the most frequent reasons first, 20 at most.
        refused: how many machines were not planned with.
        spent_wei: what the batch had cost when it was quoted, in wei, as text.
        made_at: when, ISO 8601 in UTC.
        fingerprint: of the scene and what renders it: of another scene it says nothing.
    """

    frames: int
    chosen: QuoteOption
    options: tuple[QuoteOption, ...]
    unmet: tuple[str, ...]
    refusals: tuple[str, ...]
    refused: int
    spent_wei: str
    made_at: str
    fingerprint: str

    @classmethod
    def of(cls, plan: Plan, chosen: PlanLine, *, fingerprint: str, spent_wei: int, now: float) -> BatchQuote:
        """What a plan says.

        Args:
            plan: the plan.
            chosen: the line of it that a run follows.
            fingerprint: of the batch.
            spent_wei: what the batch has cost so far.
            now: Unix time.
        """
        machines = [refusal.reason for refusal in plan.refusals if refusal.node_id is not None]
        groups = Counter(_clause(reason) for reason in machines).most_common(_MOST_REASONS)
        lines = [line for line in (plan.cheapest, plan.by_deadline, plan.for_budget) if line is not None]
        return cls(
            frames=plan.frames,
            chosen=QuoteOption.of(chosen),
            options=tuple(QuoteOption.of(line) for line in lines),
            unmet=tuple(_clause(one.reason) for one in plan.refusals if one.node_id is None),
            refusals=tuple(f"{count} {reason}" for reason, count in groups),
            refused=len(machines),
            spent_wei=str(spent_wei),
            made_at=datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds"),
            fingerprint=fingerprint,
        )

    @classmethod
    def of_nothing(cls, *, fingerprint: str, spent_wei: int, now: float) -> BatchQuote:
        """What a batch costs of which every frame is there.

        Args:
            fingerprint: of the batch.
            spent_wei: what it has cost.
            now: Unix time.
        """
        nothing = QuoteOption("cheapest", 0, 0.0, 0.0, 0.0, "0", "0", "0", 0.0, 0.0, 0.0, 0.0)
        made_at = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds")
        return cls(0, nothing, (nothing,), (), (), 0, str(spent_wei), made_at, fingerprint)

    @property
    def text(self) -> str:
        """What would be spent, as one sentence."""
        line = self.chosen
        if not self.frames:
            return "every frame is there: nothing is rented"
        return line.text(self.frames)

    def markdown(self) -> str:
        """The quote as a table, and what can't be met, in Markdown in which no word of a stranger is more than text."""
        rows = [
            "| | machines | cost | 9 in 10 under | stopped at | done in | 9 in 10 within | start | send |",
            "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
        ]
        for one in self.options:
            name = f"**{_words(one.name)}**" if one == self.chosen else _words(one.name)
            cells = (
                name,
                str(one.machines),
                *one.costs(),
                shown_duration(one.finish_p50_s),
                shown_duration(one.finish_p90_s),
                f"{one.startup_share:.0%}",
                f"{one.transfer_share:.0%}",
            )
            rows.append(f"| {' | '.join(cells)} |")
        told = [f"{counted(self.frames, 'frame')}, quoted at {_words(self.made_at)}.", "", *rows, ""]
        told += ["Start, send: shares of the money that go into starting machines and sending the scene."]
        told += [f"- can't be met: {_words(why)}" for why in self.unmet]
        if self.refused:
            told.append(f"- not planned with: {', '.join(map(_words, self.refusals))}")
        return "\n".join(told)

    def to_dict(self) -> dict[str, Any]:
        """A JSON value of it, small whatever is on the market, and without secrets."""
        return {**asdict(self), **{name: list(value) for name, value in self._lists().items()}}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> BatchQuote:
        """What `to_dict` has made; names beside it are no matter.

        Args:
            value: the JSON value.

        Raises:
            OctaConfigError: it is none.
        """
        try:
            quote = msgspec.convert(value, cls)
            sums = [quote.spent_wei, *(sum_ for one in (quote.chosen, *quote.options) for sum_ in _sums(one))]
            if quote.frames < 0 or not all(text.isdecimal() and len(text) <= _MOST_DIGITS for text in sums):
                raise ValueError("no amount of wei")
        except (ValueError, TypeError, RecursionError) as error:
            raise OctaConfigError(
                f"this is no quote of a batch ({error}): give what a plan step returned, as it is"
            ) from error
        return quote

    def left_wei(self, spent_wei: int) -> int:
        """What may be spent of it still, in wei.

        Args:
            spent_wei: what the batch has cost by now.
        """
        return max(0, self.chosen.most_wei - max(0, spent_wei - int(self.spent_wei)))

    def breach(self, *, frames: int, fingerprint: str) -> str:
        """Why it says nothing of what is to be rendered now, as one sentence; empty when it does.

        Args:
            frames: how many are missing.
            fingerprint: of the batch.
        """
        if fingerprint != self.fingerprint:
            return "the scene, or what renders it, changed since it was quoted: quote it again"
        if frames > self.frames:
            return f"{counted(self.frames, 'frame')} were quoted, {frames} are to be rendered: quote it again"
        return ""

    def breach_of_price(self, line: PlanLine, spent_wei: int) -> str:
        """Why today's market can't keep it, as one sentence; empty when it can.

        Args:
            line: the line of today's plan that would be followed.
            spent_wei: what the batch has cost by now.
        """
        left = self.left_wei(spent_wei)
        # What was begun under it is ended as long as that is more likely than not; what was not is not begun.
        needed = line.cost_p90_wei if spent_wei <= int(self.spent_wei) else line.cost_p50_wei
        if needed <= left:
            return ""
        now = QuoteOption.of(line).costs()[1]
        return (
            f"the quote of {self.made_at} said {self.chosen.costs()[2]} at most, today's market asks for {now}, nine "
            "times in ten no more: quote it again"
        )

    def _lists(self) -> dict[str, tuple[Any, ...]]:
        options = tuple(asdict(one) for one in self.options)
        return {"options": options, "unmet": self.unmet, "refusals": self.refusals}


def _sums(option: QuoteOption) -> tuple[str, str, str]:
    return option.cost_p50_wei, option.cost_p90_wei, option.cost_most_wei


def _amount(usd: float, wei: str) -> str:
    """USD, or OCTA where no machine tells its price in USD."""
    return f"{shown_usd(usd)} USD" if usd else octa_text(int(wei))


def _clause(text: str) -> str:
    return plain_words(text)[:_MOST_CHARS]


def _words(text: str) -> str:
    """Text that Markdown shows as it is: what it could take for a sign of its own is escaped."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+!|~&$@" else c for c in plain_words(text))
