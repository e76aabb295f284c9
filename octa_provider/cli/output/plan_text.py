"""The plan of a batch, for people: three lines to choose from, and what was refused."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from octa_provider.cli.output.listing import print_table
from octa_provider.cli.output.wording import shown_octa, shown_text
from octa_provider.text.quantities import counted, shown_duration, shown_usd

if TYPE_CHECKING:
    from octa_provider.batch.plan import Plan, PlanLine

__all__ = ["print_plan"]

#: More reasons are counted, not named.
MOST_REASONS = 10
_LEGEND = (
    "* is what render takes; p50: as likely more as less; p90: nine times in ten no",
    "more; at most: every machine is stopped before it costs more; start,",
    "send: shares of the money that go into starting machines and sending the scene",
)
_COLUMNS = (
    "plan",
    ">machines",
    ">USD p50",
    ">USD p90",
    ">USD at most",
    ">done p50",
    ">done p90",
    ">start",
    ">send",
)


def print_plan(plan: Plan) -> None:
    """Print it on standard output."""
    lines = [line for line in (plan.cheapest, plan.by_deadline, plan.for_budget) if line is not None]
    print(counted(plan.frames, "frame"))
    if lines:
        print_table(_COLUMNS, [_row(line, is_chosen=line == plan.chosen) for line in lines])
        for text in _LEGEND:
            print(text)
    for refusal in plan.refusals:
        if refusal.node_id is None:
            print(f"can't be met: {shown_text(refusal.reason)}")
    groups = Counter(refusal.reason for refusal in plan.refusals if refusal.node_id is not None).most_common()
    if groups:
        named = [f"{count} {shown_text(reason)}" for reason, count in groups[:MOST_REASONS]]
        rest = sum(count for _, count in groups[MOST_REASONS:])
        print(f"not planned with: {', '.join(named)}{f', {rest} for other reasons' if rest else ''}")


def _row(line: PlanLine, *, is_chosen: bool) -> tuple[object, ...]:
    return (
        f"* {line.name}" if is_chosen else f"  {line.name}",
        len(line.machines),
        _amount(line.cost_usd.p50, line.cost_p50_wei),
        _amount(line.cost_usd.p90, line.cost_p90_wei),
        _amount(line.cost_most_usd, line.cost_most_wei),
        shown_duration(line.finish_s.p50),
        shown_duration(line.finish_s.p90),
        f"{line.startup_share:.0%}",
        f"{line.transfer_share:.0%}",
    )


def _amount(usd: float, wei: int) -> str:
    """USD without the unit, or OCTA where none of the machines tells its price in USD."""
    return shown_usd(usd) if usd else shown_octa(wei)
