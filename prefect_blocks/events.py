"""What is emitted as Prefect events, for automations and the event feed: one set of names, with one set of fields.

`octa.session.started`, `adopted`, `ready`, `ended` (a job's command) and `stopped` (the machine was seen gone) all have
the payload of `payload_of`: what is not known yet, or never, is None.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefect.events import emit_event

from octa_provider.rental.terms import Bill
from octa_provider.text.carried import carried_dict, sound
from octa_provider.text.loggers import plain_logger
from prefect_blocks.cost_artifact import flow_name_here
from prefect_blocks.rental_key import name_in

if TYPE_CHECKING:
    from uuid import UUID

    from octa_provider import JobResult, Rental

__all__ = ["emit", "emit_of", "own_bill", "payload_of", "session_name"]

log = plain_logger("prefect_blocks.events")

#: The sessions of which this process has told the stop, newest last, and how many are remembered.
_stopped: dict[str, None] = {}
_REMEMBERED = 10_000
_lock = threading.Lock()


def payload_of(
    *,
    price_usd: float | None = None,
    bill: Bill | None = None,
    result: JobResult | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """The payload of an event, whatever has happened.

    Args:
        price_usd: USD per hour.
        bill: what the session came to, once it is stopped.
        result: what the job on it came to, once it has ended.
        reason: why, in one sentence, where there is more to say than the bill and the result do.

    Returns:
        `price_usd` (per hour), `outcome` (of a job), `reason`, `cost_usd`, `cost_wei`, `duration_s`.
    """
    told = None if bill is None else bill.termination_reason
    return {
        "price_usd": price_usd,
        "outcome": None if result is None else result.outcome.value,
        "reason": reason or (result.message if result is not None else None) or told,
        "cost_usd": bill.charge_usd if bill is not None else None if result is None else result.cost_usd,
        "cost_wei": bill.charge_wei if bill is not None else None if result is None else result.cost_wei,
        "duration_s": bill.duration_s if bill is not None else None if result is None else result.duration_s,
    }


def emit(
    happened: str,
    rental: Rental,
    /,
    *,
    bill: Bill | None = None,
    result: JobResult | None = None,
    reason: str | None = None,
    flow_run_id: UUID | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Emit `octa.session.<happened>`; Prefect adds the run that it happened in as a related resource.

    Args:
        happened: `started`, `adopted`, `ready`, `ended`, `stopped`.
        rental: the session.
        bill: what it came to.
        result: what the job on it came to.
        reason: why, in one sentence.
        flow_run_id: the flow run that it belongs to, where this is not said by one.
        name: what the work is called; when left out, as its key says, or as the flow is that this is told in.
        labels: of the work, to filter by, beside those of the session.
    """
    payload = payload_of(price_usd=rental.price_usd, bill=bill, result=result, reason=reason)
    emit_of(
        happened,
        rental.uuid,
        rental.node_id,
        rental.key or "",
        payload,
        flow_run_id=flow_run_id,
        name=name,
        labels={**(labels or {}), **rental.labels},
    )


def session_name(uuid: str) -> str:
    """What is told as the work's name where nobody knows of any.

    Args:
        uuid: the session.
    """
    return f"OctaSpace session {uuid}"


def own_bill(result: JobResult) -> Bill:
    """What a job's last machine came to: those before it, which never came up, have been told each by itself.

    Args:
        result: the job's.
    """
    wei, usd = ([getattr(one, name) for one in result.tried] for name in ("cost_wei", "cost_usd"))
    return Bill(
        result.uuid,
        None if result.cost_wei is None else result.cost_wei - sum(wei),
        None if result.cost_usd is None else result.cost_usd - sum(usd),
        result.duration_s,
        None,
    )


def emit_of(
    happened: str,
    uuid: str,
    node_id: int | None,
    key: str,
    payload: Mapping[str, Any],
    /,
    *,
    flow_run_id: UUID | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """The same for a session of which no more is known. That one was stopped is told once by a process.

    Args:
        happened: as `emit`.
        uuid: the session.
        node_id: its machine.
        key: its rental key, or what that begins with.
        payload: from `payload_of`; JSON values.
        flow_run_id: as `emit`.
        name: as `emit`.
        labels: as `emit`.
    """
    if happened == "stopped" and not _is_first_stop(uuid):
        return
    related = None
    if flow_run_id is not None:
        related = [{"prefect.resource.id": f"prefect.flow-run.{flow_run_id}", "prefect.resource.role": "flow-run"}]
    try:
        # Prefect sends it from a thread of its own.
        emit_event(
            event=f"octa.session.{happened}",
            resource={
                "prefect.resource.id": sound(f"octa.session.{uuid}"),
                "prefect.resource.name": sound(name or name_in(key) or flow_name_here() or session_name(uuid)),
                "octa.node-id": str(node_id or ""),
                "octa.rental-key": sound(key),
                # Automations match what a resource says, and no payload.
                "octa.outcome": str(payload.get("outcome") or ""),
                **{sound(f"octa.label.{label}"): sound(str(value)) for label, value in (labels or {}).items()},
            },
            related=related,
            payload=carried_dict(dict(payload)),
        )
    except Exception as error:  # noqa: BLE001 - an event never keeps a machine from being watched or stopped
        log.warning("the event octa.session.%s of session %s is lost: %s", happened, uuid, error)


def _is_first_stop(uuid: str) -> bool:
    """Whether nobody in this process has told it yet: two that stop one session both see it gone."""
    with _lock:
        if uuid in _stopped:
            return False
        _stopped[uuid] = None
        if len(_stopped) > _REMEMBERED:
            del _stopped[next(iter(_stopped))]
        return True
