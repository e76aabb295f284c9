"""What the DAG billed is what the table shows."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from demo.bill import MachineBill, bill_table, machine_name, total_usd
from demo.render_dag import read_bill

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


def test_the_bill_of_the_dag_is_read_exactly(tmp_path: Path) -> None:
    entry = {"uuid": "a", "node_id": 17, "frames": [1, 2], "duration_s": 12.5, "charge_usd": 0.0001}
    lost = {"uuid": "b", "duration_s": None, "charge_usd": None, "charge_wei": None}
    machines = [{**entry, "charge_wei": "123456789012345678901"}, lost]
    (tmp_path / "bill.json").write_text(json.dumps({"machines": machines}))
    told, failed = read_bill(tmp_path, {17: "NVIDIA GeForce RTX 4090"})
    assert told == MachineBill(
        17, "NVIDIA GeForce RTX 4090", (1, 2), 12.5, 123_456_789_012_345_678_901, Decimal("0.0001")
    )
    assert failed.name == "a machine that did not report"
    assert failed.frames == ()


def test_a_run_that_wrote_no_bill_has_none(tmp_path: Path) -> None:
    assert read_bill(tmp_path, {}) == []


def test_a_machine_without_a_gpu_has_a_name() -> None:
    assert machine_name(4, "") == "node 4"
