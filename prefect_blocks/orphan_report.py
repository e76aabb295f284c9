"""What Prefect is told of a session that a reaper has stopped, of which less is known than its renter knew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client

from octa_provider.rental.terms import Bill
from octa_provider.text.loggers import plain_logger
from prefect_blocks.cost_artifact import put_cost_of_orphan, row
from prefect_blocks.events import emit_of, payload_of, session_name
from prefect_blocks.rental_key import is_worker_key, name_in

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
    run_name, flow_name = _names_of(flow_run_id, orphan)
    name = run_name if is_worker_key(orphan.key) else name_in(orphan.key) or flow_name
    emit_of(
        "stopped",
        orphan.uuid,
        orphan.node_id,
        orphan.key,
        payload_of(price_usd=orphan.price_usd, bill=bill, reason=reason),
        flow_run_id=flow_run_id,
        # What stops it has a flow of its own, which is not the work's.
        name=name or session_name(orphan.uuid),
        labels=orphan.labels,
    )
    if flow_run_id is None or not flow_name:
        return
    new = row(
        "left running",
        uuid=orphan.uuid,
        node_id=orphan.node_id,
        duration_s=bill.duration_s,
        cost_usd=bill.charge_usd,
        labels=orphan.labels,
    )
    try:
        put_cost_of_orphan(new, flow_run_id, flow_name)
    except Exception as error:  # noqa: BLE001 - what is left is stopped whatever Prefect's API says
        log.warning("session %s is on no bill of flow run %s: %s", orphan.uuid, flow_run_id, error)


def _names_of(flow_run_id: UUID | None, orphan: Orphan) -> tuple[str, str]:
    """Those of a flow run and of its flow; empty where Prefect's API can't be asked, or does not know it."""
    if flow_run_id is None:
        return "", ""
    try:
        with get_client(sync_client=True) as prefect:
            run = prefect.read_flow_run(flow_run_id)
            return run.name, prefect.read_flow(run.flow_id).name
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("session %s is on no bill of flow run %s: %s", orphan.uuid, flow_run_id, error)
        return "", ""
