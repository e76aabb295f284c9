"""The event of a session that a reaper has stopped, of which less is known than its renter knew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.rental.terms import Bill
from prefect_blocks.events import emit_of, payload_of

if TYPE_CHECKING:
    from uuid import UUID

    from octa_provider.rental.reap import Orphan

__all__ = ["emit_orphan"]


def emit_orphan(orphan: Orphan, reason: str, *, flow_run_id: UUID | None) -> None:
    """Tell that a session without an owner was stopped; its bill is what was charged when it was found.

    Args:
        orphan: the session.
        reason: why, in one sentence.
        flow_run_id: the flow run that had rented it; None when that is not known.
    """
    bill = Bill(orphan.uuid, orphan.charge_wei, None, orphan.age_s, None)
    payload = payload_of(bill=bill, reason=reason)
    emit_of("stopped", orphan.uuid, orphan.node_id, orphan.key, payload, flow_run_id=flow_run_id)
