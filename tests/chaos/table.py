"""The campaign's tables: what was leaked, doubled, taken from somebody else, or came out wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.chaos.fault_sets import BY_NAME, FAULT_SETS
from tests.chaos.plan import CLIENTS
from tests.chaos.verdict import Verdict

PHASES = ("start", "wait", "run", "stop")


def broken_promises(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Runs of ours that did what can't happen."""
    return [v for v in verdicts if CLIENTS[v.client].ours and BY_NAME[v.fault].promised and not v.clean]


def as_text(verdicts: Sequence[Verdict], points: dict[str, dict[str, int]]) -> str:
    """A table for each client, and one that compares them."""
    blocks = []
    for client in (name for name in CLIENTS if any(v.client == name for v in verdicts)):
        mine = [v for v in verdicts if v.client == client]
        distinct = len({v.killed_at for v in mine if v.killed_at})
        blocks.append(
            f"{client}: {len(points[client])} I/O boundaries found in a run without faults; killed {_killed(mine)} "
            f"times at {distinct} distinct ones\n" + "\n".join(_rows(mine))
        )
    blocks.append("\n".join(_comparison(verdicts)))
    return "\n\n".join(blocks)


def _rows(verdicts: Sequence[Verdict]) -> list[str]:
    head = f"{'fault':40}{'runs':>5}{'ended in start/wait/run/stop':>30}{'leaked':>8}{'doubled':>8}{'foreign':>8}"
    lines = [f"{head}{'wrong':>6}{'shown':>6}{'2 at once':>10}{'longest':>9}"]
    for fault_set in FAULT_SETS:
        mine = [v for v in verdicts if v.fault == fault_set.name]
        if mine:
            lines.append(_row(fault_set.name + ("" if fault_set.promised else " (*)"), mine))
    promised = [v for v in verdicts if BY_NAME[v.fault].promised]
    if len(lines) > 2:
        lines.append(_row("all that is promised", promised))
    if len(promised) < len(verdicts):
        lines.append("(*) measured, not promised: neither the API nor a shared folder tells whose a session is")
    return lines


def _row(name: str, verdicts: Sequence[Verdict]) -> str:
    kills = Counter(v.killed_at.split(" | ")[0] for v in verdicts if v.killed_at)
    where = "/".join(str(kills[phase]) for phase in PHASES)
    overlaps = [v.overlap_ms for v in verdicts if v.max_running > 1]
    counts = "".join(
        f"{sum(bool(getattr(v, column)) for v in verdicts):>{width}}"
        for column, width in (("leaked", 8), ("doubled", 8), ("foreign", 8), ("wrong", 6), ("shown", 6))
    )
    longest = f"{max(overlaps):.0f} ms" if overlaps else "-"
    return f"{name:40}{len(verdicts):>5}{where:>30}{counts}{len(overlaps):>10}{longest:>9}"


def _comparison(verdicts: Sequence[Verdict]) -> list[str]:
    columns = ("leaked", "doubled", "foreign", "wrong")
    lines = [
        "of 100 runs, faults that the promises cover:",
        f"{'':10}{'runs':>6}" + "".join(f"{column:>9}" for column in columns),
    ]
    for client in CLIENTS:
        mine = [v for v in verdicts if v.client == client and BY_NAME[v.fault].promised]
        if mine:
            shares = [100 * sum(bool(getattr(v, column)) for v in mine) / len(mine) for column in columns]
            lines.append(f"{client:10}{len(mine):>6}" + "".join(f"{share:>9.1f}" for share in shares))
    return lines


def _killed(verdicts: Sequence[Verdict]) -> int:
    return sum(v.killed_at is not None for v in verdicts)


def as_json(verdicts: Sequence[Verdict], points: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Fault x point x runs -> leaked, doubled, foreign, wrong; and every run."""
    cells: dict[tuple[str, str, str], Counter[str]] = {}
    for v in verdicts:
        cell = cells.setdefault((v.client, v.fault, v.killed_at or "not killed"), Counter())
        counted = {name: bool(getattr(v, name)) for name in ("leaked", "doubled", "foreign", "wrong", "shown")}
        cell.update({"runs": 1, **counted})
    return {
        "points": {client: list(names) for client, names in points.items()},
        "cells": [
            {"client": client, "fault": fault, "point": point, **cell}
            for (client, fault, point), cell in sorted(cells.items())
        ],
        "runs": [v.to_dict() for v in verdicts],
    }
