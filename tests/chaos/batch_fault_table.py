"""The fault table of a batch: each fault on emulated machines with a real Blender, and what became of the frames.

`python -m tests.chaos.batch_fault_table [--only WORD ...]`. A row renders 16 frames on up to three machines. Of each
must hold: no frame is lost, or the outcome says so; no session runs at the end; the bill is the ledger's to the wei;
and somebody was told.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.chaos.blender_stage import Scenes, make_scenes
from tests.chaos.coordinator_faults import (
    api_down,
    budget_reached,
    coordinator_killed,
    disk_full_here,
    two_coordinators,
)
from tests.chaos.fault_ground import Ground, open_fault_ground
from tests.chaos.fault_row import Row
from tests.chaos.machine_faults import MACHINE_FAULTS, machine_fault, several_gpus, slow_machine, without_optix
from tests.chaos.scene_faults import BROKEN_SCENES, broken_scene, scene_edited

#: What the others' costs are compared with, and how often it is rendered.
NOTHING = "nothing"
NOTHINGS = 3
#: Has a row of its own here.
_AWAY = "API down for a while"

Rows = dict[str, tuple[Callable[[Ground, str], Row], dict[str, Any]]]


def rows() -> Rows:
    """Name of a row -> what makes it, and options of the emulator."""
    found: Rows = {f"{NOTHING} ({number})": (machine_fault, {}) for number in range(1, NOTHINGS + 1)}
    found |= {name: (machine_fault, {}) for name in MACHINE_FAULTS if name not in (NOTHING, _AWAY)}
    found["no OPTIX, but CUDA"] = (without_optix, {})
    found["one machine 3 x slow"] = (slow_machine, {})
    found["several GPUs, one node dies"] = (several_gpus, {"gpus": 2})
    found |= {name: (broken_scene, {}) for name in BROKEN_SCENES}
    found["API down"] = (api_down, {})
    found["coordinator killed, run again"] = (coordinator_killed, {})
    found["coordinator's disk full"] = (disk_full_here, {})
    found["two coordinators"] = (two_coordinators, {})
    found["scene edited, same folder"] = (scene_edited, {})
    found["budget reached"] = (budget_reached, {})
    return found


def make_row(name: str, scenes: Path, folder: Path) -> Row:
    """One row, in a process of its own.

    Args:
        name: one of `rows()`.
        scenes: where `make_scenes` has put them.
        folder: for its files; an empty one.
    """
    make, options = rows()[name]
    began = time.monotonic()
    try:
        with open_fault_ground(folder, Scenes(scenes), **options) as ground:
            row = make(ground, name)
    except Exception as error:  # noqa: BLE001 - whatever a row meets is told in its line
        row = Row(name, outcome="raised", wrong=[f"{type(error).__name__}: {error}"])
    row.seconds = time.monotonic() - began
    return row


def table(found: list[Row]) -> str:
    """The table, as text."""
    costs = [row.cost_wei for row in found if row.name.startswith(NOTHING) and row.cost_wei]
    usual = statistics.fmean(costs) if costs else None
    head = ("fault", "how it is seen", "what was done", "lost", "twice", "cost", "outcome", "left")
    lines = [head]
    for row in found:
        extra = "-" if usual is None or not row.cost_wei else f"{100 * (row.cost_wei / usual - 1):+.0f} %"
        cells = (row.name, row.seen, row.done, str(row.lost), str(row.twice), extra, row.outcome, str(row.left))
        lines.append(cells)
    text = "\n".join(_line(cells) for cells in lines)
    if len(costs) > 1:
        spread = ", ".join(f"{100 * (cost / statistics.fmean(costs) - 1):+.0f} %" for cost in costs)
        text += f"\ncost: beside the mean of the {len(costs)} batches without a fault, themselves {spread}"
    return text


_WIDTHS = (34, 52, 36, 5, 6, 7, 12, 5)


def _line(cells: tuple[str, ...]) -> str:
    folded = [textwrap.wrap(cell, width - 1) or [""] for cell, width in zip(cells, _WIDTHS, strict=True)]
    height = max(map(len, folded))
    return "\n".join(
        "".join(
            f"{part[line] if line < len(part) else '':{width}}" for part, width in zip(folded, _WIDTHS, strict=True)
        ).rstrip()
        for line in range(height)
    )


def main() -> int:
    """Make the rows, and print the table; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.batch_fault_table")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="rows whose names have one of these")
    parser.add_argument("--workers", type=int, default=2, help="rows at a time (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the rows as JSON too")
    options = parser.parse_args()
    names = [name for name in rows() if not options.only or any(word in name for word in options.only)]
    found: dict[str, Row] = {}
    with (
        tempfile.TemporaryDirectory(prefix="octa-faults-", ignore_cleanup_errors=True) as folder,
        ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        scenes = make_scenes(Path(folder) / "scenes")
        at_work = {
            pool.submit(make_row, name, scenes.folder, Path(folder) / str(number)): name
            for number, name in enumerate(names)
        }
        for done in as_completed(at_work):
            row = found[at_work[done]] = done.result()
            print(f"{row.name}: {row.outcome}, {row.seconds:.0f} s{''.join(f' !! {w}' for w in row.wrong)}", flush=True)
    ordered = [found[name] for name in names]
    print(f"\n{table(ordered)}\n")
    broken = [row for row in ordered if row.wrong]
    for row in broken:
        print(f"{row.name}: {'; '.join(row.wrong)}")
    print(f"rows {len(ordered)}, broken {len(broken)}")
    if options.json is not None:
        options.json.write_text(json.dumps([row.to_dict() for row in ordered], indent=1))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
