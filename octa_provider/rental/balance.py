"""What the account and the caps pay for, before anything is started."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from octa_provider.errors import OctaBudgetError, OctaError
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import is_transient
from octa_provider.wire.money import octa_text, price_text

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.models import Machine, VpnMachine

__all__ = ["paid_by_balance", "read_balance", "within_cap"]

log = plain_logger("octa_provider.rental.balance")

#: A cap that does not pay for so long is refused: no machine comes up in less.
SHORTEST_S = 60.0

M = TypeVar("M", "Machine", "VpnMachine")


def within_cap(machines: Sequence[Machine], max_cost_usd: float | None) -> Sequence[Machine]:
    """The machines that a cap on cost can hold: those whose price is known, and of which it pays for a minute.

    Raises:
        OctaBudgetError: there is none.
    """
    if max_cost_usd is None:
        return machines
    priced = [m for m in machines if m.price_usd]
    if not priced:
        raise OctaBudgetError(
            f"max_cost_usd={max_cost_usd:g} can't be held: none of the {len(machines)} machines that fit tells its "
            "price; nothing was started"
        )
    held = [m for m in priced if (m.price_usd or 0) * SHORTEST_S / 3600 <= max_cost_usd]
    if not held:
        cheapest = min(m.price_usd or math.inf for m in priced)
        raise OctaBudgetError(
            f"max_cost_usd={max_cost_usd:g} does not pay for {SHORTEST_S:g} s of the cheapest machine that fits "
            f"({price_text(cheapest, 4)}): raise it; nothing was started"
        )
    return held


def paid_by_balance(machines: Sequence[M], max_duration_s: float | None, balance_wei: int | None) -> Sequence[M]:
    """The machines that the balance pays for.

    Args:
        machines: those that fit.
        max_duration_s: seconds that have to be paid for; None when that is not known.
        balance_wei: the account's balance; None when the API does not tell.

    Raises:
        OctaBudgetError: the account is empty, or none of them is paid for.
    """
    if balance_wei is None:
        return machines
    if balance_wei <= 0:
        raise OctaBudgetError(f"the account is empty ({octa_text(balance_wei)}): top it up, nothing was started")
    if max_duration_s is None:
        return machines
    seconds = math.ceil(max_duration_s)

    def cost_wei(machine: M) -> int:
        return (getattr(machine, "price_wei", None) or 0) * seconds // 3600

    paid = [m for m in machines if cost_wei(m) <= balance_wei]
    if not paid:
        cheapest = min(cost_wei(m) for m in machines)
        raise OctaBudgetError(
            f"the balance of {octa_text(balance_wei)} does not pay for {max_duration_s / 3600:g} h: the cheapest "
            f"machine that fits costs {octa_text(cheapest)} for it; top it up or lower max_duration_s"
        )
    return paid


def read_balance(octa: Api) -> int | None:
    """The account's balance in wei; None when it can't be read now: then the API has to refuse."""
    try:
        return octa.accounts.balance().balance_wei
    except OctaError as error:
        if not is_transient(error):
            raise
        log.warning("the balance can't be read, so it is not checked: %s", error)
        return None
