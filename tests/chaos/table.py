"""The campaign's tables: what was leaked, doubled, or came out wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.chaos.fault_sets import BY_NAME, FAULT_SETS
from tests.chaos.plan import CLIENTS
from tests.chaos.run import Verdict

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
    head = f"{'fault':36}{'runs':>5}{'killed in start/wait/run/stop':>31}{'leaked':>8}{'doubled':>8}{'wrong':>6}"
    lines = [f"{head}{'2 at once':>10}{'longest':>9}"]
    for fault_set in FAULT_SETS:
        mine = [v for v in verdicts if v.fault == fault_set.name]
        if not mine:
            continue
        kills = Counter(v.killed_at.split(" | ")[0] for v in mine if v.killed_at)
        where = "/".join(str(kills[phase]) for phase in PHASES)
        overlaps = [v.overlap_ms for v in mine if v.max_running > 1]
        lines.append(
            f"{fault_set.name + ('' if fault_set.promised else ' (*)'):36}{len(mine):>5}{where:>31}"
            f"{sum(v.leaked > 0 for v in mine):>8}{sum(v.doubled for v in mine):>8}"
            f"{sum(bool(v.wrong) for v in mine):>6}"
            f"{len(overlaps):>10}{f'{max(overlaps):.0f} ms' if overlaps else '-':>9}"
        )
    if any(not BY_NAME[v.fault].promised for v in verdicts):
        lines.append("(*) measured, not promised: nothing tells the next try whose the session is")
    return lines


def _comparison(verdicts: Sequence[Verdict]) -> list[str]:
    lines = [
        "of 100 runs, faults that the promises cover:",
        f"{'':10}{'runs':>6}{'leaked':>9}{'doubled':>9}{'wrong':>9}",
    ]
    for client in CLIENTS:
        mine = [v for v in verdicts if v.client == client and BY_NAME[v.fault].promised]
        if mine:
            shares = [
                100 * sum(bool(getattr(v, name)) for v in mine) / len(mine) for name in ("leaked", "doubled", "wrong")
            ]
            lines.append(f"{client:10}{len(mine):>6}" + "".join(f"{share:>9.1f}" for share in shares))
    return lines


def _killed(verdicts: Sequence[Verdict]) -> int:
    return sum(v.killed_at is not None for v in verdicts)


def as_json(verdicts: Sequence[Verdict], points: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Fault x point x runs -> leaked, doubled, wrong; and every run."""
    cells: dict[tuple[str, str, str], Counter[str]] = {}
    for v in verdicts:
        cell = cells.setdefault((v.client, v.fault, v.killed_at or "not killed"), Counter())
        cell.update({"runs": 1, "leaked": v.leaked > 0, "doubled": v.doubled, "wrong": bool(v.wrong)})
    return {
        "points": {client: list(names) for client, names in points.items()},
        "cells": [
            {"client": client, "fault": fault, "point": point, **cell}
            for (client, fault, point), cell in sorted(cells.items())
        ],
        "runs": [v.to_dict() for v in verdicts],
    }
