"""What a session has cost, and whether a cap is reached: by everything that is known of its price."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from octa_provider.wire.money import price_text

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.terms import Terms

__all__ = ["price_usd", "spent_usd", "too_dear", "unpriced_for_too_long"]

#: A session whose cost can't be told is given so long before a cap on it counts as reached.
UNPRICED_S = 120.0
#: The step in which a session tells its price (S: `base_usd` counts 1/10,000 USD).
PRICE_STEP_USD = 0.0001


def price_usd(session: Session) -> float | None:
    """What a session says that it costs, in USD per hour; None when it does not, or says nothing above 0."""
    told = session.prices.base_usd if session.prices is not None else None
    return told if told is not None and math.isfinite(told) and told > 0 else None


def spent_usd(terms: Terms, session: Session) -> float | None:
    """What a session has cost so far, in USD: the most that its charge, or its time at its price, comes to.

    Both count, since either may be missing or wrong: a price that the provider raised, a charge that comes late, a
    catalogue that says 0.

    Returns:
        None when nothing tells.
    """
    told = [terms.usd(session.charge_wei, session)]
    # A VPN is billed by its traffic.
    if session.service != "vpn" and session.duration_s is not None:
        price = price_usd(session) or terms.price_usd
        told.append(price * max(session.duration_s, 0) / 3600 if price else None)
    known = [amount for amount in told if amount is not None]
    return max(known, default=None)


def unpriced_for_too_long(session: Session) -> bool:
    """Whether a session of unknown cost has run longer than a cap on cost can be left open."""
    return session.service != "vpn" and (session.duration_s or 0) >= UNPRICED_S


def too_dear(session: Session, max_price_usd: float | None) -> str | None:
    """Why a session costs more than allowed, by its own price; None when it does not, or does not tell.

    Args:
        session: as the API shows it.
        max_price_usd: at most this price, in USD per hour.
    """
    told = price_usd(session)
    # The session's price comes in steps, perhaps rounded up.
    if (
        max_price_usd is None
        or told is None
        or told <= math.ceil(max_price_usd / PRICE_STEP_USD) * PRICE_STEP_USD + 1e-9
    ):
        return None
    return f"its price is {price_text(told, 4)} now, above max_price_usd={max_price_usd:g}"
