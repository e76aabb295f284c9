"""What the run cost, beside what was quoted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.table import Table

from demo.quoted import Quoted
from octa_provider.render.frames import Frames


@dataclass(frozen=True)
class MachineBill:
    """What one machine did, as the batch's own results tell it.

    Attributes:
        uuid: its session.
        node_id: the machine.
        gpu: its first GPU's model; empty when it is not known.
        frames: the frames of it that were accepted.
        seconds: how long it was rented.
        charge_wei: what it cost, exact.
        usd: the same in USD, for display; None without a price.
    """

    uuid: str
    node_id: int
    gpu: str
    frames: tuple[int, ...]
    seconds: float
    charge_wei: int
    usd: Decimal | None

    @property
    def name(self) -> str:
        """How the machine is called in tables and pictures."""
        return machine_name(self.node_id, self.gpu)


def manifest_file(output: Path) -> Path:
    """Where a batch writes what became of it."""
    return output / "manifest.json"


def read_bills(output: Path, gpus: Mapping[int, str]) -> list[MachineBill]:
    """What each machine did and cost; nothing when the batch did not get so far.

    Args:
        output: the batch's folder.
        gpus: the GPU model of each node; the batch names only the node.
    """
    path = manifest_file(output)
    if not path.is_file():
        return []
    manifest = json.loads(path.read_text())
    lines = (output / manifest["results"]["frames"]).read_text().splitlines()
    frames = [json.loads(line) for line in lines]
    return [
        MachineBill(
            uuid=machine["uuid"],
            node_id=machine["node_id"],
            gpu=gpus.get(machine["node_id"], ""),
            frames=tuple(frame["frame"] for frame in frames if frame["slot"] == machine["slot"]),
            seconds=float(machine["duration_s"] or 0.0),
            charge_wei=int(machine["cost_wei"] or 0),
            usd=None if machine["cost_usd"] is None else Decimal(str(machine["cost_usd"])),
        )
        for machine in manifest["machines"]
    ]


def machine_name(node_id: int, gpu: str) -> str:
    """``node 1234 · RTX 4090``; the maker's name says nothing that the model does not."""
    model = gpu.removeprefix("NVIDIA ").removeprefix("GeForce ")
    return f"node {node_id} · {model}" if model else f"node {node_id}"


def bill_table(bills: Sequence[MachineBill], killed: str = "") -> Table:
    """What each machine did and cost.

    Args:
        bills: one a machine.
        killed: the session of the machine that was killed; empty for none.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_footer=True)
    table.add_column("machine", "total")
    table.add_column("frames", str(sum(len(bill.frames) for bill in bills)), justify="right")
    table.add_column("which")
    table.add_column("rented", shown_minutes(sum(bill.seconds for bill in bills)), justify="right")
    table.add_column("USD", usd_text(total_usd(bills)), justify="right")
    table.add_column("")
    for bill in bills:
        which = str(Frames(bill.frames)) if bill.frames else ""
        row = (bill.name, str(len(bill.frames)), which, shown_minutes(bill.seconds), usd_text(bill.usd))
        table.add_row(*row, "killed" if bill.uuid == killed else "")
    return table


def quote_table(quoted: Quoted, bills: Sequence[MachineBill]) -> Table:
    """The bill beside the quote."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("", "quoted", "9 in 10 under", "stopped at", "billed"):
        table.add_column(name, justify="right" if name else "left")
    sums = (f"{usd:.4f}" for usd in (quoted.p50, quoted.p90, quoted.most))
    table.add_row("USD", *sums, usd_text(total_usd(bills)))
    return table


def total_usd(bills: Sequence[MachineBill]) -> Decimal | None:
    """The sum, or None when a price is missing."""
    prices = [bill.usd for bill in bills if bill.usd is not None]
    return sum(prices, Decimal(0)) if len(prices) == len(bills) else None


def usd_text(usd: Decimal | None) -> str:
    """Four digits: a minute of one machine costs a fraction of a cent."""
    return "-" if usd is None else f"{usd:.4f}"


def shown_minutes(seconds: float) -> str:
    """``12m 30s``."""
    return f"{int(seconds) // 60}m {int(seconds) % 60:02d}s"
