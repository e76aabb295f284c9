"""What Prefect is told of a session that a reaper has stopped, of which less is known than its renter knew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from octa_provider.rental.terms import Bill
from octa_provider.text.loggers import plain_logger
from prefect_blocks.cost_artifact import put_cost_of_orphan, row
from prefect_blocks.events import emit_of, payload_of

if TYPE_CHECKING:
    from uuid import UUID

    from octa_provider.rental.reap import Orphan

__all__ = ["tell_orphan"]

log = plain_logger("prefect_blocks.orphan_report")


def tell_orphan(orphan: Orphan, reason: str, *, bills: Iterable[Bill], flow_run_id: UUID | None) -> None:
    """Tell that a session without an owner was stopped: the event, and its row in the bill of its flow run.

    Args:
        orphan: the session.
        reason: why, in one sentence.
        bills: of those that were stopped; where its own is missing, what was charged when it was found counts.
        flow_run_id: the flow run that had rented it; None when that is not known.
    """
    found = Bill(orphan.uuid, orphan.charge_wei, None, orphan.age_s, None)
    bill = next((one for one in bills if one.uuid == orphan.uuid), found)
    payload = payload_of(bill=bill, reason=reason)
    emit_of("stopped", orphan.uuid, orphan.node_id, orphan.key, payload, flow_run_id=flow_run_id)
    if flow_run_id is None:
        return
    new = row(
        "left running",
        uuid=orphan.uuid,
        node_id=orphan.node_id,
        duration_s=bill.duration_s,
        cost_usd=bill.charge_usd,
    )
    try:
        put_cost_of_orphan(new, flow_run_id)
    except Exception as error:  # noqa: BLE001 - what is left is stopped whatever Prefect's API says
        log.warning("session %s is on no bill of flow run %s: %s", orphan.uuid, flow_run_id, error)
