"""What the run billed is what the table shows."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from demo.bill import MachineBill, bill_entries, bill_file, bill_table, machine_name, total_usd

BILLS = [
    MachineBill(17, "NVIDIA GeForce RTX 4090", (1, 2, 3), 12.25, 123_456_789_012_345_678, Decimal("0.001234")),
    MachineBill(4, "", (4,), 8.0, 1, None),
]


def test_the_table_has_a_row_a_machine_and_a_total() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(bill_table(BILLS))
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines == [
        ["machine", "frames", "seconds", "USD"],
        ["node", "17", "·", "RTX", "4090", "3", "12", "0.001234"],
        ["node", "4", "1", "8", "-"],
        ["total", "4", "20", "-"],
    ]


def test_a_total_needs_every_price() -> None:
    assert total_usd(BILLS[:1]) == Decimal("0.001234")
    assert total_usd(BILLS) is None


def test_a_bill_is_read_as_the_run_wrote_it(tmp_path: Path) -> None:
    machines = [{"node_id": 17, "charge_wei": "123456789012345678901"}, {"node_id": None}]
    bill_file(tmp_path).write_text(json.dumps({"machines": machines}))
    assert bill_entries(tmp_path) == machines


def test_a_run_that_wrote_no_bill_has_none(tmp_path: Path) -> None:
    assert bill_entries(tmp_path) == []


def test_a_machine_without_a_gpu_has_a_name() -> None:
    assert machine_name(4, "") == "node 4"
