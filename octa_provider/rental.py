"""Rentals: sessions that are started exactly once, waited for, and stopped for certain.

A rental is known by its key, which names the work. Whoever starts a key that already has a session gets that session.
VPN sessions carry no environment and so no key: there a new session is told by the difference between the lists before
and after, on the same node and of the same kind, and only within one call of `start`; a second process can't adopt it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.marketplace import Requirements
from octa_provider.reaping import Reaped, reap
from octa_provider.rental_key import checked_key
from octa_provider.request import Request
from octa_provider.starting import Starting, oldest
from octa_provider.stop_signals import stop_signals_raise
from octa_provider.stopping import sweep
from octa_provider.waiting import wait_until_ready

if TYPE_CHECKING:
    from octa_provider.client import OctaClient
    from octa_provider.models import Logs, Machine, Session, VpnMachine

WEI_PER_OCTA = 10**18


@dataclass(frozen=True)
class Bill:
    """What a rental came to.

    Attributes:
        uuid: the session.
        charge_wei: what was charged, in wei, exact; None when the API no longer tells.
        charge_usd: the same in USD, for display, at the price of the time it was rented.
        duration_s: seconds it ran.
        termination_reason: why it ended, in the API's words.
    """

    uuid: str
    charge_wei: int | None
    charge_usd: float | None
    duration_s: float | None
    termination_reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """The bill as a small JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class Rental:
    """Our handle on one session, from start to confirmed stop. A value: `rentals.restore` opens what `to_dict` gave.

    Attributes:
        uuid: the session.
        key: the rental key; None for a session that was opened without one.
        service: `mr`, `render` or `vpn`.
        node_id: the machine.
        price_usd: USD per hour when it was rented.
        price_wei: wei per hour when it was rented.
        started_at: when it started, in UTC.
        adopted: True when the session was already there: from an earlier try, or from an answer that was lost.
        max_cost_usd: stop when this is spent.
        max_duration_s: stop when it has run so many seconds.
    """

    uuid: str
    key: str | None = None
    service: str | None = None
    node_id: int | None = None
    price_usd: float | None = None
    price_wei: int | None = None
    started_at: datetime | None = None
    adopted: bool = False
    max_cost_usd: float | None = None
    max_duration_s: float | None = None
    _client: OctaClient | None = field(default=None, repr=False, compare=False)

    @property
    def client(self) -> OctaClient:
        """The client it was opened with."""
        if self._client is None:
            raise OctaConfigError("this rental has no client: reopen it with client.rentals.restore(rental.to_dict())")
        return self._client

    def to_dict(self) -> dict[str, Any]:
        """The rental as a small JSON value, without secrets."""
        state = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}
        state["started_at"] = None if self.started_at is None else self.started_at.isoformat()
        return state

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], client: OctaClient | None = None) -> Rental:
        """The rental that `to_dict` made the value of; names that it does not know are left out."""
        known = {f.name for f in fields(cls) if not f.name.startswith("_")}
        values = {name: value for name, value in state.items() if name in known}
        if not isinstance(values.get("uuid"), str):
            raise OctaConfigError("this is not the state of a rental: it holds no uuid")
        if isinstance(values.get("started_at"), str):
            values["started_at"] = datetime.fromisoformat(values["started_at"])
        return cls(**values, _client=client)

    def info(self) -> Session:
        """The session as the API sees it now; OctaNotFoundError when it is gone."""
        return self.client.services.session(self.uuid).info()

    def logs(self, *, recent: bool = False) -> Logs:
        """All of the session's logs; `recent` for one that has finished."""
        return self.client.services.session(self.uuid).logs(recent=recent)

    def wait_until_ready(
        self, deadline_s: float = 900.0, poll_s: float = 5.0, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Session:
        """Wait until the session can be used. Outages of the API slow the wait down and do not end it.

        Args:
            deadline_s: seconds after which it is too late; then the session is stopped.
            poll_s: seconds between two looks.
            is_cancelled: asked between two looks; when it says yes the session is stopped.

        Returns:
            The ready session, with its addresses.

        Raises:
            OctaWaitTimeoutError: too late; the session was stopped.
            OctaSessionFailedError: the session ended or failed; its system log's last lines are in the error.
            OctaBudgetError: a cap was reached; the session was stopped.
            OctaCancelledError: `is_cancelled` said yes; the session was stopped.
            OctaStopError: one of these, and the session could not be stopped.
        """
        return wait_until_ready(self, deadline_s=deadline_s, poll_s=poll_s, is_cancelled=is_cancelled)

    def stop(self, score: int | None = None, deadline_s: float = 300.0) -> Bill:
        """Stop the session and every other one of its key, and return when they have been seen gone.

        Safe to repeat. Asks again through outages until the deadline.

        Args:
            score: what the machine was worth, 1 to 5.
            deadline_s: seconds to try for.

        Raises:
            OctaStopError: still running, or not seen gone, when the deadline passed. It bills until it is stopped.
        """
        ended = sweep(self.client, uuids=(self.uuid,), key=self.key, score=score, deadline_s=deadline_s)
        return self.bill(ended.get(self.uuid))

    def bill(self, session: Session | None) -> Bill:
        """What a session of this rental came to, as far as the API tells."""
        if session is None:
            return Bill(self.uuid, None, None, None, None)
        return Bill(
            uuid=self.uuid,
            charge_wei=session.charge_wei,
            charge_usd=self.usd(session.charge_wei, session),
            duration_s=session.duration_s,
            termination_reason=session.termination_reason,
        )

    def usd(self, wei: int | None, session: Session | None = None) -> float | None:
        """An amount in USD, for display: by the price it was rented at, else by the session's market price."""
        if wei is None:
            return None
        if self.price_wei and self.price_usd is not None:
            return wei * self.price_usd / self.price_wei
        market = session.prices.market_price if session is not None and session.prices is not None else None
        return None if market is None else wei / WEI_PER_OCTA * market


class Rentals:
    """`client.rentals`: one piece of work never rents twice and never leaves a machine billing."""

    def __init__(self, client: OctaClient) -> None:
        self._client = client

    def start(
        self,
        request: Request,
        *,
        key: str,
        requirements: Requirements | None = None,
        settle_s: float = 20.0,
        deadline_s: float = 300.0,
        max_cost_usd: float | None = None,
        max_duration_s: float | None = None,
        on_started: Callable[[Rental], object] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Rental:
        """Start a session under a key exactly once, or adopt the one that the key already has.

        Args:
            request: what to rent.
            key: the rental key, such as `rental_key("nightly", shot)`.
            requirements: which machine; the cheapest one when left out.
            settle_s: seconds to look for a session after an answer that leaves it unclear whether one was started.
            deadline_s: seconds to try for, through outages.
            max_cost_usd: refuse, and later stop, what costs more.
            max_duration_s: refuse what the balance can't pay for that long, and later stop what runs longer.
            on_started: called with the rental as soon as its uuid is known, to write it down.
            is_cancelled: asked before and after every step that spends money; when it says yes, what was started is
                stopped.

        Raises:
            OctaNoMachineError: nothing fits, or all that fit refused; says why for each.
            OctaBudgetError: the balance or a cap does not allow it.
            OctaCancelledError: `is_cancelled` said yes; nothing runs.
            OctaError: the API could not be reached, or refused the key.
        """
        for name, value in (("max_cost_usd", max_cost_usd), ("max_duration_s", max_duration_s)):
            if value is not None and (isinstance(value, bool) or not value > 0):
                raise OctaConfigError(f"{name} must be above 0, or left out")

        def rental_of(
            uuid: str, session: Session | None, adopted: bool, machine: Machine | VpnMachine | None
        ) -> Rental:
            return replace(
                self._rental(uuid, key, session, service=request.service, machine=machine),
                adopted=adopted,
                max_cost_usd=max_cost_usd,
                max_duration_s=max_duration_s,
            )

        starting = Starting(
            client=self._client,
            request=request,
            key=checked_key(key),
            requirements=requirements or Requirements(),
            settle_s=settle_s,
            deadline_s=deadline_s,
            max_duration_s=max_duration_s,
            rental_of=rental_of,
            on_started=on_started,
            is_cancelled=is_cancelled,
        )
        return starting.run()

    def find(self, key: str) -> Rental | None:
        """The rental of a key, if it has an active session; the oldest one when it has several."""
        session = oldest(s for s in self._client.sessions.list() if s.rental_key == checked_key(key))
        return None if session is None else replace(self._rental(session.uuid, key, session), adopted=True)

    def open(self, uuid: str, key: str | None = None) -> Rental:
        """A handle on a session by its uuid; no request is made."""
        return Rental(uuid=uuid, key=None if key is None else checked_key(key), _client=self._client)

    def restore(self, state: Mapping[str, Any]) -> Rental:
        """A handle from what `Rental.to_dict` returned; no request is made."""
        return Rental.from_dict(state, self._client)

    def stop(self, key: str, *, deadline_s: float = 300.0) -> tuple[Bill, ...]:
        """Stop every active session of a key; returns when they have been seen gone. No session is fine too."""
        ended = sweep(self._client, uuids=(), key=checked_key(key), deadline_s=deadline_s)
        return tuple(self._rental(uuid, key, session).bill(session) for uuid, session in ended.items())

    @contextmanager
    def rent(
        self,
        request: Request,
        *,
        key: str,
        requirements: Requirements | None = None,
        stop_deadline_s: float = 300.0,
        **options: Any,
    ) -> Iterator[Rental]:
        """A rental for the length of a `with` block: it is stopped on every way out, SIGTERM and SIGINT included.

        Args:
            request, key, requirements: as in `start`.
            stop_deadline_s: seconds to try to stop for.
            options: further arguments of `start`.
        """
        with stop_signals_raise() as hold:
            rental: Rental | None = None
            try:
                rental = self.start(request, key=key, requirements=requirements, **options)
                yield rental
            finally:
                with hold():
                    if rental is not None:
                        rental.stop(deadline_s=stop_deadline_s)
                    elif not isinstance(sys.exc_info()[1], OctaError):
                        # A signal between the start and the name it is given; a start that failed has cleaned up.
                        self.stop(key, deadline_s=stop_deadline_s)

    def reap(
        self,
        prefix: str = "",
        *,
        older_than_s: float = 0.0,
        is_alive: Callable[[str], bool] = lambda key: False,
        dry_run: bool = True,
        deadline_s: float = 300.0,
    ) -> Reaped:
        """Find sessions of ours whose owner is gone, and stop them.

        A session without one of our keys is never touched.

        Args:
            prefix: only keys that begin with it, by whole segments: `airflow/a` does not match `airflow/ab/...`.
            older_than_s: only sessions that have run so many seconds.
            is_alive: told a key, says whether its owner still lives; what raises counts as alive.
            dry_run: only say what would be stopped.
            deadline_s: seconds to try to stop for, all together.
        """
        return reap(
            self._client,
            prefix=prefix,
            older_than_s=older_than_s,
            is_alive=is_alive,
            dry_run=dry_run,
            deadline_s=deadline_s,
        )

    def _rental(
        self,
        uuid: str,
        key: str,
        session: Session | None,
        *,
        service: str | None = None,
        machine: Machine | VpnMachine | None = None,
    ) -> Rental:
        return Rental(
            uuid=uuid,
            key=key,
            service=(session.service if session is not None else "") or service,
            node_id=session.node_id
            if session is not None and session.node_id is not None
            else getattr(machine, "node_id", None),
            price_usd=getattr(machine, "price_usd", None),
            price_wei=getattr(machine, "price_wei", None),
            started_at=None if session is None else session.started_at,
            _client=self._client,
        )
