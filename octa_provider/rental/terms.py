"""What a rental is known by: a value that travels between processes, and the bill at its end. No HTTP library here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from octa_provider.rental.tried_machine import TriedMachine, total
from octa_provider.wire.money import usd_of
from octa_provider.wire.state import read_state

if TYPE_CHECKING:
    from octa_provider.models import Session

__all__ = ["Bill", "Terms"]


@dataclass(frozen=True)
class Bill:
    """What a rental came to.

    Attributes:
        uuid: the session.
        charge_wei: what was charged, in wei, exact; None when the API no longer tells.
        charge_usd: the same in USD, for display, at the price of the time it was rented.
        duration_s: seconds it ran.
        termination_reason: why it ended, in the API's words.
        tried: the machines before, each with its own cost; see `Rentals.rent` and `TriedMachine.replaced`.
    """

    uuid: str
    charge_wei: int | None
    charge_usd: float | None
    duration_s: float | None
    termination_reason: str | None
    tried: tuple[TriedMachine, ...] = ()

    @property
    def total_wei(self) -> int | None:
        """What the session and the machines before it were charged, in wei, exact; None when one is not known."""
        return total([*(one.cost_wei for one in self.tried), self.charge_wei])

    @property
    def total_usd(self) -> float | None:
        """The same in USD, for display."""
        return total([*(one.cost_usd for one in self.tried), self.charge_usd])

    def to_dict(self) -> dict[str, Any]:
        """The bill as a small JSON value; `tried` is in it where a machine was."""
        told = asdict(self)
        tried = told.pop("tried")
        return told | ({"tried": list(tried)} if tried else {})


#: The bounds refuse NaN too: a cap of NaN would hold nothing.
_Bounded = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
_Time = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]


class Terms(msgspec.Struct, frozen=True):
    """One rental, from start to confirmed stop, as a value.

    Attributes:
        uuid: the session.
        key: the rental key, whole; None for a session that was opened without one.
        service: `mr`, `render` or `vpn`.
        node_id: the machine.
        price_usd: USD per hour, as the session tells it, else as the catalogue did.
        price_wei: wei per hour, at the same price.
        started_at: when it started, in UTC.
        adopted: True when the session was already there: from an earlier try, or from an answer that was lost.
        max_cost_usd: stop when this is spent.
        max_duration_s: stop when it has run so many seconds.
        max_price_usd: stop when it says that it costs more, in USD per hour.
        claim: what the store of intents knows it by; None for a session that tells its key itself.
        known_from: Unix time, by `Clock.steady_time`, from which on it has run: since it was started here, or, when
            `adopted`, as much earlier than it was first seen as the API said that it had run then. Counts where the
            API does not tell how long it has run.
        tried: the machines before, which never came up or were replaced: what they cost is off `max_cost_usd`
            already. A job counts its own.
        labels: what the session was labelled with; of one that was adopted its own.
    """

    uuid: str
    key: str | None = None
    service: str | None = None
    node_id: int | None = None
    price_usd: _Bounded | None = None
    price_wei: int | None = None
    started_at: datetime | None = None
    adopted: bool = False
    max_cost_usd: _Bounded | None = None
    max_duration_s: _Bounded | None = None
    max_price_usd: _Bounded | None = None
    claim: str | None = None
    known_from: _Time | None = None
    tried: tuple[TriedMachine, ...] = ()
    labels: dict[str, str] = msgspec.field(default_factory=dict)

    def __hash__(self) -> int:
        # A mapping has none.
        return hash((self.uuid, self.key))

    @property
    def is_capped(self) -> bool:
        """Whether anything bounds what it costs: then each look at its session has to ask."""
        return any(cap is not None for cap in (self.max_cost_usd, self.max_duration_s, self.max_price_usd))

    def to_dict(self) -> dict[str, Any]:
        """The terms as a small JSON value, without secrets; `tried` is in it where a machine was."""
        state = {name: getattr(self, name) for name in Terms.__struct_fields__}
        state["labels"] = dict(self.labels)
        state["started_at"] = None if self.started_at is None else self.started_at.isoformat()
        tried = [asdict(one) for one in state.pop("tried")]
        return state | ({"tried": tried} if tried else {})

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Terms:
        """The terms that `to_dict` made the value of; names that are not known are left out.

        Args:
            state: as `to_dict` gave it; integers may have become text on the way, as in an event or an XCom.

        Raises:
            OctaConfigError: it is not the state of a rental.
        """
        return read_state(Terms, state, "the state of a rental")

    def bill(self, session: Session | None) -> Bill:
        """What a session of this rental came to, as far as the API tells."""
        if session is None:
            return Bill(self.uuid, None, None, None, None, self.tried)
        return Bill(
            uuid=self.uuid,
            charge_wei=session.charge_wei,
            charge_usd=self.usd(session.charge_wei, session),
            duration_s=session.duration_s,
            termination_reason=session.termination_reason,
            tried=self.tried,
        )

    def usd(self, wei: int | None, session: Session | None = None) -> float | None:
        """An amount in USD, for display: by the price it was rented at, else by the session's market price."""
        if wei is None:
            return None
        if self.price_wei and self.price_usd is not None:
            return wei / self.price_wei * self.price_usd
        market = session.prices.market_price if session is not None and session.prices is not None else None
        return None if market is None else usd_of(wei, market)
