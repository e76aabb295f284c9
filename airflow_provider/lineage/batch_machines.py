"""The machines of a batch, as its manifest tells them: what each ran, and what it came to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider.lineage.run_bill import SessionBill, whole_wei

if TYPE_CHECKING:
    from airflow_provider.lineage.run_bill import RunBill

__all__ = ["add_machines"]

#: A manifest of a thousand machines has a tenth of that.
_MOST_BYTES = 8 * 1024 * 1024


def add_machines(bill: RunBill, manifest: Path) -> None:
    """Note the machines of a batch, those of earlier tries included, as its cost is that of all.

    Args:
        bill: of a batch that has ended.
        manifest: its manifest; where it is missing, or no manifest, nothing is noted.
    """
    try:
        with manifest.open("rb") as file:
            told = json.loads(file.read(_MOST_BYTES + 1))
        machines = [_machine(one) for one in told["machines"] if one.get("uuid")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
    bill.sessions = {one.uuid: one for one in machines}
    bill.rented_machines = len(bill.sessions)


def _machine(told: dict[str, Any]) -> SessionBill:
    return SessionBill(
        uuid=str(told["uuid"]),
        node_id=told.get("node_id"),
        price_usd=told.get("price_usd"),
        cost_wei=whole_wei(told.get("cost_wei")),
        cost_usd=told.get("cost_usd"),
        billed_s=told.get("duration_s"),
    )
