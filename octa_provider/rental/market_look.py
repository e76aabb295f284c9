"""What is on offer, read for one start, or once for all that wait in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.timing.shared_answers import answers_of

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.models import Machine, Records, Session, VpnMachine

__all__ = ["machines_on_offer", "sessions_seen", "vpns_on_offer"]


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
