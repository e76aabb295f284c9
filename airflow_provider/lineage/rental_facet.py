"""The run facet `octaspace_rental`: what a task has rented, and what that came to. Its schema lies beside this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.openlineage.facet import RunFacet
from attrs import define

from airflow_provider.told_outputs import MOST_NAMES
from octa_provider.text.carried import carried, carried_dict

if TYPE_CHECKING:
    from airflow_provider.lineage.run_bill import RunBill, SessionBill

__all__ = ["FACET_NAME", "SCHEMA_URL", "OctaSpaceRentalRunFacet", "rental_facet"]

FACET_NAME = "octaspace_rental"
#: What is published under a version never changes: another shape is another version.
SCHEMA_URL = "urn:octa-provider:openlineage:1-0-0:OctaSpaceRentalRunFacet.json#/$defs/OctaSpaceRentalRunFacet"


@define
class OctaSpaceRentalRunFacet(RunFacet):
    """What a task has rented, and what that came to; what is not known is null.

    Attributes:
        outcome: how the work ended.
        exitCode: the command's.
        costUsd: what it came to, in USD.
        costWei: the same in wei, exact, as text.
        billedSeconds: seconds that the sessions below ran, all together.
        tries: how many tries have worked on it.
        machines: how many sessions were rented.
        sessions: the first 50 of them, each with what is known of it.
        batch: of a batch, its frames.
    """

    outcome: str | None
    exitCode: int | None
    costUsd: float | None
    costWei: str | None
    billedSeconds: float | None
    tries: int | None
    machines: int
    sessions: list[dict[str, Any]]
    batch: dict[str, Any] | None

    @staticmethod
    def _get_schema() -> str:
        return SCHEMA_URL


def rental_facet(bill: RunBill) -> OctaSpaceRentalRunFacet:
    """The facet of what a try has rented.

    Args:
        bill: what it has rented.
    """
    known = list(bill.sessions.values())
    seconds = [one.billed_s for one in known]
    return OctaSpaceRentalRunFacet(
        outcome=carried(bill.outcome),
        exitCode=carried(bill.exit_code),
        costUsd=carried(bill.cost_usd),
        costWei=_text(bill.cost_wei),
        billedSeconds=None if not known or None in seconds else carried(sum(one or 0.0 for one in seconds)),
        tries=carried(bill.tries),
        machines=bill.machines,
        sessions=[_session(one) for one in known[:MOST_NAMES]],
        batch=None if bill.frames is None else carried(bill.frames),
    )


def _session(one: SessionBill) -> dict[str, Any]:
    return carried_dict(
        {
            "uuid": one.uuid,
            "nodeId": one.node_id,
            "gpu": one.gpu or None,
            "priceUsdPerHour": one.price_usd,
            "costUsd": one.cost_usd,
            "costWei": _text(one.cost_wei),
            "billedSeconds": one.billed_s,
            **({"labels": one.labels} if one.labels else {}),
        }
    )


def _text(wei: int | None) -> str | None:
    text: str | None = carried_dict({"cost_wei": wei})["cost_wei"]
    return text
