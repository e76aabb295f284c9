"""What is emitted as Prefect events, for automations and the event feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.events import emit_event

from octa_provider.text.carried import carried_dict, sound
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from uuid import UUID

    from octa_provider import Rental

__all__ = ["emit", "emit_of"]

log = plain_logger("prefect_blocks.events")


def emit(happened: str, rental: Rental, /, *, flow_run_id: UUID | None = None, **payload: Any) -> None:
    """Emit `octa.session.<happened>`; Prefect adds the run that it happened in as a related resource.

    Args:
        happened: `started`, `adopted`, `ready`, `ended`, `stopped`.
        rental: the session.
        flow_run_id: the flow run that it belongs to, where this is not said by one.
        payload: JSON values to go with it.
    """
    emit_of(happened, rental.uuid, rental.node_id, rental.key or "", flow_run_id=flow_run_id, **payload)


def emit_of(
    happened: str, uuid: str, node_id: int | None, key: str, /, *, flow_run_id: UUID | None = None, **payload: Any
) -> None:
    """The same for a session of which no more is known.

    Args:
        happened: as `emit`.
        uuid: the session.
        node_id: its machine.
        key: its rental key, or what that begins with.
        flow_run_id: as `emit`.
        payload: JSON values to go with it, which may have the names of the arguments above: a bill has its own uuid.
    """
    related = None
    if flow_run_id is not None:
        related = [{"prefect.resource.id": f"prefect.flow-run.{flow_run_id}", "prefect.resource.role": "flow-run"}]
    try:
        # Prefect sends it from a thread of its own.
        emit_event(
            event=f"octa.session.{happened}",
            resource={
                "prefect.resource.id": sound(f"octa.session.{uuid}"),
                "prefect.resource.name": sound(f"OctaSpace session {uuid}"),
                "octa.node-id": str(node_id or ""),
                "octa.rental-key": sound(key),
            },
            related=related,
            payload=carried_dict(payload),
        )
    except Exception as error:  # noqa: BLE001 - an event never keeps a machine from being watched or stopped
        log.warning("the event octa.session.%s of session %s is lost: %s", happened, uuid, error)
