"""The results of a batch: `frames.jsonl` and `cost.csv`, a line a frame, and `manifest.json`, the whole."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from octa_provider.batch.folder.batch_record import BatchRecord
from octa_provider.batch.folder.cost import DividedCharge
from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.history import History
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.machines import MachineRecord
from octa_provider.batch.folder.manifest import manifest_of
from octa_provider.batch.folder.planned import PlannedCost
from octa_provider.files.whole_file import whole_file
from octa_provider.render.frame_files import FilePattern

__all__ = ["COST_COLUMNS", "write_results"]

_encode = msgspec.json.Encoder().encode

COST_COLUMNS = (
    "kind",
    "frame",
    "slot",
    "node_id",
    "uuid",
    "seconds",
    "cost_wei",
    "cost_usd",
    "planned_wei",
)


def write_results(layout: Layout, record: BatchRecord, history: History) -> None:
    """Write the results, each file whole or not at all.

    The rows of `cost.csv` of one machine add up to its charge, to the wei: one for each frame that is accepted from it,
    one for all else. Amounts that the API does not tell are empty.

    Args:
        layout: the folder's places.
        record: what was asked for.
        history: what has happened.

    Raises:
        OctaLocalFileError: the disk refuses.
    """
    charges = _divided(history)
    planned = PlannedCost.of(history.plan)
    patterns = [FilePattern(text) for text in record.renderer["files"]]
    size = 0
    with _whole(layout.frames) as lines, _whole(layout.cost) as table:
        write_row = _Rows(table).write
        write_row(COST_COLUMNS)
        accepted = history.accepted
        for frame in accepted:
            slot = accepted.slot(frame)
            machine = history.machines.get(slot)
            seconds = accepted.seconds(frame)
            cost = charges[slot].of(seconds) if slot in charges else None
            files = accepted.files(frame)
            size += sum(file.bytes for file in files)
            named = [
                {"file": pattern.name(frame), "bytes": file.bytes, "sha256": file.sha256}
                for pattern, file in zip(patterns, files, strict=True)
            ]
            line: dict[str, Any] = {
                "frame": frame,
                **named[0],
                "node_id": accepted.node_id(frame),
                "slot": slot,
                "seconds": _rounded(seconds),
                "attempts": accepted.tries(frame),
                "cost_wei": None if cost is None else str(cost),
                "cost_usd": _usd(cost, machine),
            }
            if named[1:]:
                line["more_files"] = named[1:]
            lines.write(_encode(line) + b"\n")
            write_row(
                (
                    "frame",
                    frame,
                    slot,
                    accepted.node_id(frame),
                    machine.uuid if machine else None,
                    _rounded(seconds),
                    cost,
                    _usd(cost, machine),
                    planned.frame_wei,
                )
            )
        for slot, machine in sorted(history.machines.items()):
            rest = charges[slot].overhead if slot in charges else None
            spans = machine.spans
            aside = spans.start_s + spans.transfer_s + spans.idle_s
            usd = _usd(rest, machine)
            write_row(
                (
                    "overhead",
                    None,
                    slot,
                    machine.node_id,
                    machine.uuid,
                    _rounded(aside),
                    rest,
                    usd,
                    planned.overhead_wei,
                )
            )
    value = manifest_of(layout, record, history, size)
    with _whole(layout.manifest) as file:
        file.write(json.dumps(value, indent=1).encode() + b"\n")


def _divided(history: History) -> dict[int, DividedCharge]:
    """The charge of each machine that the API tells of, ready to be divided."""
    charges = {
        slot: DividedCharge(machine.charge_wei, machine.spans)
        for slot, machine in history.machines.items()
        if machine.charge_wei is not None
    }
    accepted = history.accepted
    for frame in accepted:
        if (charge := charges.get(accepted.slot(frame))) is not None:
            charge.count(accepted.seconds(frame))
    for frame in accepted.dropped():
        if (charge := charges.get(accepted.slot(frame))) is not None:
            charge.count(accepted.seconds(frame))
    for slot, copies in history.lost.items():
        if slot in charges:
            for seconds in copies:
                charges[slot].count(seconds)
    return charges


class _Rows:
    """Rows of a table, written to a binary file a row at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._text = io.StringIO()
        self._csv = csv.writer(self._text, lineterminator="\n")

    def write(self, row: tuple[Any, ...]) -> None:
        """Write one row; what is None is empty."""
        self._csv.writerow(row)
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that is on the disk, whole, before it takes its place."""
    with disk_errors("written", path), whole_file(path) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _usd(wei: int | None, machine: MachineRecord | None) -> float | None:
    return None if wei is None or machine is None else machine.usd(wei)
