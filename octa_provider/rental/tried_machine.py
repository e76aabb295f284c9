"""Machines that some work had before the one it has: what each cost, and what is left of the work's cap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from octa_provider.rental.session_text import LOG_FOLLOWS
from octa_provider.text.plain_text import plain_words
from octa_provider.wire.money import usd_of

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.terms import Bill, Terms

__all__ = [
    "TriedMachine",
    "all_before",
    "attempts_of",
    "cap_left",
    "total",
]

N = TypeVar("N", int, float)

#: The longest `TriedMachine.message`.
MESSAGE_CHARS = 500


@dataclass(frozen=True)
class TriedMachine:
    """A machine that never came up for some work, or could not be kept, and was stopped before another one was started.

    Attributes:
        uuid: the session.
        node_id: the machine.
        cost_wei: what it cost, in wei, exact; None when the API does not tell.
        cost_usd: the same in USD, for display.
        duration_s: seconds that the session ran.
        message: what became of it, in one sentence of at most 500 characters, without its log and without secrets.
        price_usd: what it cost by its price, in USD per hour; None when unknown.
        replaced: whether a start found it in the way: its price had risen, it was going, or two ran at once. It counts
            towards the cap and is on the bill, is none of `start_attempts`, and its machine may be taken again.
    """

    uuid: str
    node_id: int | None = None
    cost_wei: int | None = None
    cost_usd: float | None = None
    duration_s: float | None = None
    message: str = ""
    price_usd: float | None = None
    replaced: bool = False

    @property
    def spent_usd(self) -> float | None:
        """The most that its charge, or its time at its price, comes to: a charge may come late, and is 0 until then."""
        timed = None
        if self.duration_s is not None and self.price_usd is not None:
            timed = max(self.duration_s, 0.0) * self.price_usd / 3600
        return max((usd for usd in (self.cost_usd, timed) if usd is not None), default=None)

    @classmethod
    def of(cls, terms: Terms, bill: Bill, message: str, *, replaced: bool = False) -> TriedMachine:
        """A machine that was stopped for another one.

        Args:
            terms: of its rental.
            bill: what its session came to.
            message: what became of it; its first line is told.
            replaced: see `TriedMachine`.
        """
        cost_usd = bill.charge_usd
        if cost_usd is None and bill.duration_s is not None and terms.price_usd is not None:
            cost_usd = bill.duration_s * terms.price_usd / 3600
        told = _told(message)
        wei, ran_s = bill.charge_wei, bill.duration_s
        return cls(bill.uuid, terms.node_id, wei, cost_usd, ran_s, told, terms.price_usd, replaced)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> TriedMachine:
        """The machine as a result tells it.

        Args:
            told: one of `tried` of `JobResult.to_dict` or `JobResult.to_json`, where an amount of wei is text.
        """
        wei = told["cost_wei"]
        return cls(**{**told, "cost_wei": None if wei is None else int(wei)})

    def billed_again(self, session: Session) -> TriedMachine:
        """The same with what it has cost by now, where that is more: its charge may come late.

        Args:
            session: as the API tells it after its end.
        """
        wei, ran_s = session.charge_wei, session.duration_s
        known = self.cost_wei or 0
        if wei is None or wei <= known:
            return self
        market = session.prices.market_price if session.prices is not None else None
        cost_usd = self.cost_usd * wei / known if known and self.cost_usd else None
        if cost_usd is None and market is not None:
            cost_usd = usd_of(wei, market)
        duration_s = self.duration_s if ran_s is None else max(float(ran_s), self.duration_s or 0.0)
        return replace(
            self, cost_wei=wei, cost_usd=self.cost_usd if cost_usd is None else cost_usd, duration_s=duration_s
        )


def _told(message: str) -> str:
    """What is told of a machine beside the bill: it goes into results, events and artifacts, a log's tail does not."""
    sentence = plain_words(message.partition("\n")[0]).removesuffix(LOG_FOLLOWS)
    return sentence if len(sentence) <= MESSAGE_CHARS else f"{sentence[: MESSAGE_CHARS - 3]}..."


def attempts_of(tried: Iterable[TriedMachine]) -> int:
    """How many of these were start attempts: those that never came up.

    Args:
        tried: the machines before.
    """
    return sum(not one.replaced for one in tried)


def all_before(*several: Iterable[TriedMachine]) -> tuple[TriedMachine, ...]:
    """Machines before, each once: who knows them by themselves, and who was told of them by a session.

    Args:
        several: of one that stands in more than one of these the last counts.
    """
    return tuple({one.uuid: one for some in several for one in some}.values())


def cap_left(max_cost_usd: float | None, tried: Iterable[TriedMachine]) -> float | None:
    """What is left of a cap on cost for the next machine, in USD; None without a cap.

    Args:
        max_cost_usd: the cap.
        tried: the machines before. One of which nobody tells the cost leaves nothing, since a cap could not be held.
    """
    if max_cost_usd is None:
        return None
    spent = [one.spent_usd for one in tried]
    return 0.0 if None in spent else max(0.0, max_cost_usd - sum(cost or 0.0 for cost in spent))


def total(amounts: Iterable[N | None]) -> N | None:
    """The sum of what was charged; None when one of the amounts is not known.

    Args:
        amounts: of each machine.
    """
    known = list(amounts)
    return None if None in known else sum(amount for amount in known if amount is not None)
