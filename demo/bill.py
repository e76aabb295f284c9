"""What the run cost, as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class MachineBill:
    """What one machine did, as the run's bill tells it.

    Attributes:
        node_id: the machine; None when the bill does not say.
        gpu: its first GPU's model; empty when it is not known.
        frames: the frames that it rendered.
        seconds: how long it was rented.
        charge_wei: what it cost, exact.
        usd: the same in USD, for display; None without a price.
    """

    node_id: int | None
    gpu: str
    frames: tuple[int, ...]
    seconds: float
    charge_wei: int
    usd: Decimal | None

    @property
    def name(self) -> str:
        """How the machine is called in tables and pictures."""
        return machine_name(self.node_id, self.gpu)


def bill_file(output: Path) -> Path:
    """Where the run writes what it cost."""
    return output / "bill.json"


def bill_entries(output: Path) -> list[dict[str, Any]]:
    """The bill's machines as they were written, or nothing when the run did not get so far."""
    path = bill_file(output)
    return list(json.loads(path.read_text())["machines"]) if path.is_file() else []


def machine_name(node_id: int | None, gpu: str) -> str:
    """``node 1234 · RTX 4090``; the maker's name says nothing that the model does not."""
    model = gpu.removeprefix("NVIDIA ").removeprefix("GeForce ")
    name = f"node {node_id}" if node_id is not None else "a machine that did not report"
    return f"{name} · {model}" if model else name


def bill_table(bills: Sequence[MachineBill]) -> Table:
    """The table that the demo ends with."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_footer=True)
    table.add_column("machine", "total")
    table.add_column("frames", str(sum(len(bill.frames) for bill in bills)), justify="right")
    table.add_column("seconds", f"{sum(bill.seconds for bill in bills):.0f}", justify="right")
    table.add_column("USD", usd_text(total_usd(bills)), justify="right")
    for bill in bills:
        table.add_row(bill.name, f"{len(bill.frames)}", f"{bill.seconds:.0f}", usd_text(bill.usd))
    return table


def total_usd(bills: Sequence[MachineBill]) -> Decimal | None:
    """The sum, or None when a price is missing."""
    prices = [bill.usd for bill in bills if bill.usd is not None]
    return sum(prices, Decimal(0)) if len(prices) == len(bills) else None


def usd_text(usd: Decimal | None) -> str:
    """Six digits: a minute of one machine costs a fraction of a cent."""
    return "-" if usd is None else f"{usd:.6f}"
