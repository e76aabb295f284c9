"""Starting exactly once: one key, one session, whoever else tries at the same time and whatever gets lost.

What runs under the key already is adopted (`under_key`); else the machines are asked one by one (`asking_machines`),
and of several sessions that began at once one stays (`the_only_one`). A start that fails leaves nothing (`giving_up`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.market.request import MachineRequest, Request, VpnRequest
from octa_provider.rental.asking_machines import AskingMachines
from octa_provider.rental.clean_up import cleaned_up_by
from octa_provider.rental.giving_up import GivingUp
from octa_provider.rental.under_key import UnderKey
from octa_provider.wire.session_envs import RENTAL_KEY_ENV, RENTAL_MARK_ENV, REPLACES_ENV

if TYPE_CHECKING:
    from octa_provider.rental.start_try import StartTry
    from octa_provider.rental.started import Started

__all__ = ["start_once"]


def start_once(start: StartTry) -> Started:
    """The one rental of a key.

    Args:
        start: the try.

    Raises:
        OctaError: as `Rentals.start` says.
    """
    _marked(start)
    start.refuse_cancelled()
    under_key = UnderKey(start)
    existing = under_key.existing()
    if existing is not None:
        return existing
    giving_up = GivingUp(start, under_key)
    adopted: Started | None = None

    def clean_up(error: BaseException | None) -> None:
        nonlocal adopted
        if error is not None:
            adopted = giving_up.adopted_after(error)
            if adopted is None:
                giving_up.abandon(error)

    try:
        # A signal that comes while this cleans up waits until nothing is left.
        with cleaned_up_by(clean_up):
            return AskingMachines(start, _marked(start), under_key).first_that_starts()
    except OctaError:
        if adopted is None:
            raise
        return adopted


def _marked(start: StartTry) -> Request:
    """The request with who pays for it, and with the key and its mark."""
    request = start.request
    organization_id, project_id = start.api.payer
    if isinstance(request, MachineRequest):
        request = request.paid_by(organization_id, project_id)
    elif organization_id is not None:
        raise OctaConfigError(
            f"organization_id={organization_id} can't pay for a {request.service} session, since the API takes it for "
            "machines alone: start it without organization_id, on the account itself"
        )
    if isinstance(request, VpnRequest):
        return request
    for name in (RENTAL_KEY_ENV, RENTAL_MARK_ENV, REPLACES_ENV):
        if name in request.envs and request.envs[name] != start.key:
            raise OctaConfigError(f"envs must not set {name}: it carries the rental key, or what belongs to it")
    return request.with_envs(start.mark.envs(start.key))
