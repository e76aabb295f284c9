"""What the run billed is what the table shows, beside what was quoted."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.bill import MachineBill, bill_table, machine_name, manifest_file, quote_table, read_bills, total_usd
from demo.quoted import Quoted

BILLS = [
    MachineBill("a", 17, "NVIDIA GeForce RTX 4090", (1, 2, 3), 722.25, 123_456_789_012_345_678, Decimal("0.001234")),
    MachineBill("b", 4, "", (4,), 8.0, 1, None),
]


def shown(table: Table) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=100)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines() if line.strip()]


def test_the_table_has_a_row_a_machine_and_a_total_and_says_which_was_killed() -> None:
    assert shown(bill_table(BILLS, "b")) == [
        ["machine", "frames", "which", "rented", "USD"],
        ["node", "17", "·", "RTX", "4090", "3", "1-3", "12m", "02s", "0.0012"],
        ["node", "4", "1", "4", "0m", "08s", "-", "killed"],
        ["total", "4", "12m", "10s", "-"],
    ]


def test_the_bill_stands_beside_the_quote() -> None:
    assert shown(quote_table(Quoted(0.1, 0.15, 0.2), BILLS[:1]))[1] == ["USD", "0.1000", "0.1500", "0.2000", "0.0012"]


def test_a_total_needs_every_price() -> None:
    assert total_usd(BILLS[:1]) == Decimal("0.001234")
    assert total_usd(BILLS) is None


def test_a_bill_is_read_to_the_wei_from_what_the_batch_wrote(tmp_path: Path) -> None:
    machines = [
        {"slot": 1, "uuid": "a", "node_id": 17, "duration_s": 60, "cost_wei": "123456789012345678901", "cost_usd": 0.5},
        {"slot": 2, "uuid": "b", "node_id": 18, "duration_s": None, "cost_wei": None, "cost_usd": None},
    ]
    manifest_file(tmp_path).write_text(json.dumps({"results": {"frames": "f.jsonl"}, "machines": machines}))
    (tmp_path / "f.jsonl").write_text('{"frame": 1, "slot": 1}\n{"frame": 3, "slot": 1}\n')
    assert read_bills(tmp_path, {17: "RTX 4090"}) == [
        MachineBill("a", 17, "RTX 4090", (1, 3), 60.0, 123_456_789_012_345_678_901, Decimal("0.5")),
        MachineBill("b", 18, "", (), 0.0, 0, None),
    ]


def test_a_batch_that_wrote_nothing_has_no_bill(tmp_path: Path) -> None:
    assert read_bills(tmp_path, {}) == []


def test_a_machine_without_a_gpu_has_a_name() -> None:
    assert machine_name(4, "") == "node 4"
