"""Another machine when one never comes up: the one is stopped, and seen gone, before the next is started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from octa_provider.errors import OctaBudgetError, OctaError
from octa_provider.rental.stop import sweep
from octa_provider.rental.tried_machine import TriedMachine, cap_left
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.market.requirements import Requirements
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Bill, Terms

__all__ = ["billed_again", "but_not_on", "cap_for_another", "stop_alone", "stopped_for_another"]

#: A machine that never came up is asked to stop for so long.
STOP_S = 300.0
#: What it has cost in the end is asked for so long.
RECENT_S = 10.0

log = plain_logger("octa_provider.rental.elsewhere")


def stop_alone(api: RentalApi, terms: Terms) -> Bill:
    """Stop a session that never came up, and return when it has been seen gone: two machines never bill at once.

    By its uuid, not by its key: another try may have started the other one by now, which is adopted then.

    Args:
        api: the API.
        terms: of its rental.

    Raises:
        OctaStopError: it could not be stopped in time, so that nothing may be started.
    """
    bill = terms.bill(sweep(api, uuids=(terms.uuid,), key=None, deadline_s=STOP_S).get(terms.uuid))
    if terms.claim is not None and terms.key is not None:
        api.intents.remove(terms.key, terms.claim)
    return bill


def stopped_for_another(api: RentalApi, terms: Terms, message: str) -> TriedMachine:
    """The same, as a machine before another one.

    Args:
        api: the API.
        terms: of its rental.
        message: what became of it, in one sentence.

    Raises:
        OctaStopError: it could not be stopped in time, so that nothing may be started.
    """
    return TriedMachine.of(terms, stop_alone(api, terms), message)


def billed_again(api: RentalApi, tried: tuple[TriedMachine, ...], now: str = "") -> tuple[TriedMachine, ...]:
    """Machines before, with what they have cost by now: a charge may come late, or a stop not last.

    Args:
        api: the API.
        tried: the machines.
        now: the uuid of the session that is on the bill by itself.
    """
    before = [one for one in tried if one.uuid != now]
    if not before:
        return tried
    try:
        recent = {
            session.uuid: session for session in api.within(Deadline(api.clock, RECENT_S)).sessions.list(recent=True)
        }
    except OctaError as error:
        log.info("what the machines before have cost in the end can't be asked: %s", error)
        return tried
    return tuple(one.billed_again(recent[one.uuid]) if one in before and one.uuid in recent else one for one in tried)


def cap_for_another(max_cost_usd: float | None, tried: Sequence[TriedMachine]) -> float | None:
    """The cap on cost of another machine, in USD; None without a cap.

    Args:
        max_cost_usd: the cap on all of them.
        tried: the machines before.

    Raises:
        OctaBudgetError: it allows no other.
    """
    left_usd = cap_left(max_cost_usd, tried)
    if left_usd != 0:
        return left_usd
    cap = f"max_cost_usd={max_cost_usd:g}"
    if any(one.spent_usd is None for one in tried):
        raise OctaBudgetError(f"nobody tells what the machines before have cost, so {cap} can't be held")
    raise OctaBudgetError(f"nothing is left of {cap} for another machine")


def but_not_on(requirements: Requirements, tried: Sequence[TriedMachine]) -> Requirements:
    """The requirements, without machines that never came up.

    Args:
        requirements: of all.
        tried: the machines before.
    """
    never_up = [one.node_id for one in tried if one.node_id is not None and not one.replaced]
    return requirements.without_nodes(never_up)
