"""What a session has cost, and whether a cap is reached: by everything that is known of its price."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from octa_provider.wire.money import price_text

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.terms import Terms
    from octa_provider.timing.clock import Clock

__all__ = ["age_s", "price_usd", "ran_s", "spent_usd", "too_dear", "unpriced_for_too_long"]

#: A session whose cost can't be told is given so long before a cap on it counts as reached.
UNPRICED_S = 120.0
#: The step in which a session tells its price (S: `base_usd` counts 1/10,000 USD).
PRICE_STEP_USD = 0.0001


def price_usd(session: Session) -> float | None:
    """What a session says that it costs, in USD per hour; None when it does not, or says nothing above 0."""
    told = session.prices.base_usd if session.prices is not None else None
    return told if told is not None and math.isfinite(told) and told > 0 else None


def age_s(session: Session, clock: Clock) -> float | None:
    """Seconds since a session started, as the API counts them: this machine's clock may be hours off.

    Args:
        session: as the API has just told it.
        clock: of this process; counts where the session tells only when it started.

    Returns:
        None when the API does not tell.
    """
    if session.duration_s is not None:
        return float(max(session.duration_s, 0))
    if session.started_at is None:
        return None
    return max(0.0, clock.time() - session.started_at.timestamp())


def ran_s(terms: Terms, session: Session, clock: Clock) -> float | None:
    """Seconds that a session has run: as the API counts them, else as long as we know that it runs.

    Of one that has no `duration`, the time since we started it counts, or, of one that was there already, since it
    says that it began; where it does not say that either, since it was first seen.

    Args:
        terms: what its rental is known by.
        session: as the API tells it.
        clock: of this process.

    Returns:
        None when nothing tells.
    """
    if session.duration_s is not None:
        return float(session.duration_s)
    began = session.started_at or terms.started_at
    if session.finished_at is not None:
        known = [] if began is None else [(session.finished_at - began).total_seconds()]
    else:
        # Our own count first: the API's clock and ours may be hours apart.
        known = [] if terms.known_from is None else [clock.steady_time() - terms.known_from]
        if began is not None and (terms.adopted or not known):
            known.append(clock.time() - began.timestamp())
    return max((max(seconds, 0.0) for seconds in known), default=None)


def spent_usd(terms: Terms, session: Session, clock: Clock) -> float | None:
    """What a session has cost so far, in USD: the most that its charge, or its time at its price, comes to.

    Both count, since either may be missing or wrong: a price that the provider raised, a charge that comes late, a
    catalogue that says 0.

    Args:
        terms: what its rental is known by.
        session: as the API tells it.
        clock: of this process.

    Returns:
        None when nothing tells.
    """
    told = [terms.usd(session.charge_wei, session)]
    # A VPN is billed by its traffic.
    ran = ran_s(terms, session, clock)
    if session.service != "vpn" and ran is not None:
        price = price_usd(session) or terms.price_usd
        told.append(price * max(ran, 0.0) / 3600 if price else None)
    known = [amount for amount in told if amount is not None]
    return max(known, default=None)


def unpriced_for_too_long(session: Session, ran: float | None) -> bool:
    """Whether a session of unknown cost has run longer than a cap on cost can be left open.

    Args:
        session: as the API tells it.
        ran: seconds that it has run; None when nothing tells.
    """
    return session.service != "vpn" and (ran or 0.0) >= UNPRICED_S


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
