"""What is on offer, read for one start, or once for all that wait in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from octa_provider.errors import OctaBudgetError, OctaNoMachineError
from octa_provider.market.ranking import rank, rank_vpn
from octa_provider.rental.balance import within_cap
from octa_provider.timing.shared_answers import answers_of

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.market.requirements import Requirements
    from octa_provider.models import Machine, Records, Session, VpnMachine

__all__ = ["machines_on_offer", "machines_that_fit", "sessions_seen", "vpns_on_offer"]


def machines_on_offer(
    api: Api, service: str, *, max_age_s: float = 0.0, is_cancelled: Callable[[], bool] = lambda: False
) -> Records[Machine]:
    """The catalogue of machines.

    Args:
        api: the API.
        service: `mr` or `render`.
        max_age_s: how old it may be, in seconds; 0 asks now, for this one alone.
        is_cancelled: ends the wait for somebody else's request.

    Raises:
        OctaError: the API can't be reached, or refused the key.
    """
    question = api.services.mr.available if service == "mr" else api.services.render.available
    if not max_age_s:
        return question()
    shared = answers_of(api.account, api.clock)
    return shared.ask(f"machines {service}", question, max_age_s=max_age_s, is_cancelled=is_cancelled)


def vpns_on_offer(
    api: Api, *, max_age_s: float = 0.0, is_cancelled: Callable[[], bool] = lambda: False
) -> Records[VpnMachine]:
    """The catalogue of VPN machines; arguments and errors as of `machines_on_offer`."""
    question = api.services.vpn.available
    if not max_age_s:
        return question()
    shared = answers_of(api.account, api.clock)
    return shared.ask("machines vpn", question, max_age_s=max_age_s, is_cancelled=is_cancelled)


def sessions_seen(api: Api, *, max_age_s: float, is_cancelled: Callable[[], bool]) -> Records[Session]:
    """The account's active sessions, for who only wants to know whether it is worth asking for itself.

    Args:
        api: the API.
        max_age_s: how old the list may be, in seconds.
        is_cancelled: ends the wait for somebody else's request.

    Raises:
        OctaError: the API can't be reached, or refused the key.
    """
    shared = answers_of(api.account, api.clock)
    return shared.ask("sessions", api.sessions.list, max_age_s=max_age_s, is_cancelled=is_cancelled)


def machines_that_fit(
    api: Api,
    service: str,
    requirements: Requirements,
    *,
    max_cost_usd: float | None = None,
    max_age_s: float = 0.0,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Sequence[Machine | VpnMachine]:
    """What could be rented, best first, by what is on offer.

    Args:
        api: the API.
        service: `mr`, `render` or `vpn`.
        requirements: which machine.
        max_cost_usd: leaves out what this cap can't hold.
        max_age_s, is_cancelled: as of `machines_on_offer`.

    Raises:
        OctaNoMachineError: none; says why.
        OctaError: the API can't be reached, or refused the key.
    """
    if service == "vpn":
        return rank_vpn(vpns_on_offer(api, max_age_s=max_age_s, is_cancelled=is_cancelled), requirements)
    offered = machines_on_offer(api, service, max_age_s=max_age_s, is_cancelled=is_cancelled)
    ranking = rank(offered, requirements)
    if not ranking.machines:
        raise ranking.error()
    try:
        return within_cap(ranking.machines, max_cost_usd)
    except OctaBudgetError as error:
        raise OctaNoMachineError(error.message) from error
