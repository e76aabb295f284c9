"""The caps of a rental: on cost, time and price. Which one its session has reached, and what follows from that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaBudgetError
from octa_provider.rental.cost import price_usd, ran_s, spent_usd, too_dear, unpriced_for_too_long
from octa_provider.rental.stop import stop
from octa_provider.wire.money import usd_text

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Terms
    from octa_provider.timing.clock import Clock

__all__ = ["cap_error", "over_budget", "refuse_over_budget", "seconds_left", "spends_too_much"]


def over_budget(terms: Terms, session: Session, clock: Clock) -> str | None:
    """Which cap of the rental its session has reached, as the end of a sentence; None when it has reached none.

    Args:
        terms: what the rental is known by.
        session: as the API tells it.
        clock: of this process, by which a session's time is counted that does not tell it.
    """
    dear, ran = too_dear(session, terms.max_price_usd), ran_s(terms, session, clock)
    if dear is not None:
        return f"costs too much: {dear}"
    if terms.max_cost_usd is not None:
        spent = spent_usd(terms, session, clock)
        if spent is not None and spent >= terms.max_cost_usd:
            return f"has cost {usd_text(spent)} of at most {terms.max_cost_usd:g}"
        if spent is None and unpriced_for_too_long(session, ran):
            return f"has run {ran:.0f} s at a price that nobody tells, so max_cost_usd can't be held"
    if terms.max_duration_s is not None and ran is not None and ran >= terms.max_duration_s:
        return f"has run {ran:.0f} s of at most {terms.max_duration_s:g}"
    return None


def spends_too_much(terms: Terms, session: Session, clock: Clock) -> Callable[[], bool]:
    """Make the question whether a cap on cost or time has been reached, to be asked while something arrives.

    Args:
        terms: what the rental is known by, its caps among it.
        session: as the API tells it now, with what it has cost so far, and how long it has run.
        clock: counts on from now.
    """
    left_s, began = seconds_left(terms, session, clock), clock.monotonic()
    return lambda: left_s is not None and clock.monotonic() - began >= left_s


def seconds_left(terms: Terms, session: Session, clock: Clock) -> float | None:
    """Seconds until a cap on cost or time will be reached, at the price of now; None where nothing bounds it.

    Args:
        terms: what the rental is known by, its caps among it.
        session: as the API tells it now, with what it has cost so far, and how long it has run.
        clock: of this process.
    """
    spent, ran = spent_usd(terms, session, clock), ran_s(terms, session, clock)
    price = price_usd(session) or terms.price_usd
    ends: list[float] = []
    # A catalogue may have said 0: then only the charge tells, at the next look.
    if terms.max_cost_usd is not None and spent is not None and price:
        ends.append((terms.max_cost_usd - spent) * 3600 / price)
    if terms.max_duration_s is not None and ran is not None:
        ends.append(terms.max_duration_s - ran)
    return min(ends, default=None)


def refuse_over_budget(api: RentalApi, terms: Terms, session: Session) -> None:
    """Stop and raise when a cap of the rental is reached, or can't be held.

    What another one has started in its place is left.
    """
    why = over_budget(terms, session, api.clock)
    if why is not None:
        stop(api, terms, leaves_replacement=True)
        raise cap_error(terms, why)


def cap_error(terms: Terms, why: str) -> OctaBudgetError:
    """The error for a session that reached a cap of its rental, and was stopped.

    Args:
        terms: what its rental is known by.
        why: which cap, as `over_budget` tells it.
    """
    return OctaBudgetError(f"session {terms.uuid} {why}; it was stopped")
