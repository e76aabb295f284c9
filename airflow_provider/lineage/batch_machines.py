"""The machines of a batch, as its folder tells them: what each ran, and what it came to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider.lineage.run_bill import SessionBill, whole_wei
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from airflow_provider.lineage.run_bill import RunBill
    from octa_provider import Bill, OctaClient

__all__ = ["add_machines", "note_what_it_cost"]

log = plain_logger(__name__)

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
        labels = told.get("labels") or {}
        machines = [_machine(one, labels) for one in told["machines"] if one.get("uuid")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
    # Of some the account has told more since the manifest was written.
    noted = {uuid: one for uuid, one in bill.sessions.items() if one.cost_wei is not None}
    bill.sessions = {**bill.sessions, **{one.uuid: one for one in machines}, **noted}
    bill.rented_machines = len(bill.sessions)


def note_what_it_cost(bill: RunBill, client: OctaClient, output: Path, key: str, rendered: int) -> None:
    """Note what a batch has come to whose task ends with an error; nothing of it ends the task otherwise.

    Args:
        bill: of the task.
        client: the API.
        output: the batch's folder.
        key: the rental key of the task: what another one's batch has left in the folder is not told.
        rendered: how many frames this try has got.
    """
    from octa_provider.batch.folder.layout import Layout

    try:
        stands = client.batches.status(output)
        if stands.key != key or not stands.machines:
            return
        late: list[Bill] = []
        if stands.open_rentals:
            # Stopped by whoever looked after it without the folder: the triggerer, or the reaper.
            recent = {one.uuid: one for one in client.sessions.list(recent=True) if one.finished_at is not None}
            late = [client.rentals.open(uuid).bill(recent[uuid]) for uuid in stands.open_rentals if uuid in recent]
        bill.stopped(late)
        wei = [stands.cost_wei, *(one.charge_wei for one in late)]
        usd = [stands.cost_usd, *(one.charge_usd for one in late)]
        is_known = len(late) == len(stands.open_rentals)
        bill.cost_wei = sum(one or 0 for one in wei) if is_known and None not in wei else None
        bill.cost_usd = sum(one or 0.0 for one in usd) if is_known and None not in usd else None
        bill.frames = {"frames": stands.frames, "done": stands.done, "rendered": rendered}
        bill.folder, bill.manifest, bill.rented_machines = (
            stands.output,
            str(Layout.of(output).manifest),
            stands.machines,
        )
    except Exception as error:  # noqa: BLE001 - for want of lineage no task's own error is lost
        log.warning("OpenLineage is not told what this batch cost: %s: %s", type(error).__name__, error)


def _machine(told: dict[str, Any], labels: Mapping[str, str]) -> SessionBill:
    return SessionBill(
        uuid=str(told["uuid"]),
        node_id=told.get("node_id"),
        price_usd=told.get("price_usd"),
        cost_wei=whole_wei(told.get("cost_wei")),
        cost_usd=told.get("cost_usd"),
        billed_s=told.get("duration_s"),
        labels=dict(labels),
    )
