"""Rentals: sessions that are started exactly once, waited for, and stopped for certain.

A rental is known by its key, which names the work. Whoever starts a key that already has a session gets that session.
VPN sessions carry no environment and so no key: they are known by what was written down (`rental/intents.py`), and what
a lost answer may have left is told, never taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaConfigError, OctaError, OctaStartUnclearError, tell_also
from octa_provider.market.request import Request
from octa_provider.market.requirements import Requirements
from octa_provider.rental.balance import WEI_PER_OCTA
from octa_provider.rental.cost import PRICE_STEP_USD, price_usd
from octa_provider.rental.key import earlier_forms, with_namespace
from octa_provider.rental.lost_answer import LostAnswers
from octa_provider.rental.mark import RentalMark, fingerprint_of, runs_under
from octa_provider.rental.reap import Reaped, reap
from octa_provider.rental.signals import cleaned_up_by
from octa_provider.rental.start import Starting
from octa_provider.rental.stop import STOP_S, sweep
from octa_provider.rental.twins import oldest
from octa_provider.rental.wait import wait_until_ready
from octa_provider.text.plain_log import plain_logger
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.limits import checked_cap, checked_pause, checked_seconds, usable_seconds

if TYPE_CHECKING:
    from octa_provider.client import OctaClient
    from octa_provider.models import Logs, Machine, Session, VpnMachine

log = plain_logger("octa_provider.rental.rental")


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
    max_price_usd: float | None = None
    claim: str | None = None
    _client: OctaClient | None = field(default=None, repr=False, compare=False)

    @property
    def is_capped(self) -> bool:
        """Whether anything bounds what it costs: then each look at its session has to ask."""
        return any(cap is not None for cap in (self.max_cost_usd, self.max_duration_s, self.max_price_usd))

    @property
    def client(self) -> OctaClient:
        """The client it was opened with."""
        if self._client is None:
            raise OctaConfigError("this rental has no client: reopen it with client.rentals.restore(rental.to_dict())")
        return self._client

    def within(self, deadline: Deadline, is_cancelled: Callable[[], bool] = lambda: False) -> Rental:
        """The same rental, whose requests keep to a deadline; see `OctaClient.within`."""
        return replace(self, _client=self.client.within(deadline, is_cancelled))

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
        deadline_s, poll_s = checked_seconds("deadline_s", deadline_s), checked_pause("poll_s", poll_s)
        return wait_until_ready(self, deadline_s=deadline_s, poll_s=poll_s, is_cancelled=is_cancelled)

    def stop(self, score: int | None = None, deadline_s: float = 300.0) -> Bill:
        """Stop the session and every other one of its key, and return when they have been seen gone.

        Safe to repeat. Asks again through outages until the deadline.

        Args:
            score: what the machine was worth, 1 to 5; anything else is left out and logged.
            deadline_s: seconds to try for.

        Raises:
            OctaStopError: still running, or not seen gone, when the deadline passed. It bills until it is stopped.
        """
        ended = sweep(self.client, uuids=(self.uuid,), key=self.key, score=score, deadline_s=deadline_s)
        if self.claim is not None and self.key is not None:
            self.client.intents.remove(self.key, self.claim)
        return self.bill(ended.get(self.uuid))

    def stop_after(self, error: BaseException, deadline_s: float = 300.0) -> None:
        """Stop after something has gone wrong: that it can't be stopped is told, and does not hide what went wrong.

        Args:
            error: what went wrong; it says so too when the session may bill on.
            deadline_s: seconds to try for.
        """
        try:
            self.stop(deadline_s=deadline_s)
        except OctaError as problem:
            log.error("%s", problem)
            tell_also(error, problem.message)

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
        fingerprint: str | None = None,
        attempt: str | None = None,
        is_wanted: Callable[[Session], bool] | None = None,
        on_started: Callable[[Rental], object] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Rental:
        """Start a session under a key exactly once, or adopt the one that the key already has.

        A session of the key that was started for something else (another image, say), or that costs more than the
        requirements allow, is stopped, and another one started.

        Args:
            request: what to rent.
            key: the rental key, such as `rental_key("nightly", shot)`; the client's namespace is put in front.
            requirements: which machine; the cheapest one when left out.
            settle_s: seconds to look for a session after an answer that leaves it unclear whether one was started.
            deadline_s: seconds to try for, through outages.
            max_cost_usd: refuse machines that tell no price, or of which it does not pay for a minute; later, while the
                rental is waited for, stop what has cost so much.
            max_duration_s: refuse what the balance can't pay for that long, and later stop what runs longer.
            fingerprint: tells this work from other work under the same key; made of the request when left out.
            attempt: names this try in the session's environment; a random name when left out.
            is_wanted: whether a session that runs under the key is the one that is wanted; when left out, whether it
                has the same fingerprint.
            on_started: called with the rental as soon as its uuid is known, to write it down.
            is_cancelled: asked before and after every step that spends money; when it says yes, what was started is
                stopped.

        Raises:
            OctaNoMachineError: nothing fits, or all that fit refused; says why for each.
            OctaBudgetError: the balance or a cap does not allow it.
            OctaCancelledError: `is_cancelled` said yes; nothing runs.
            OctaStartUnclearError: an answer was lost, and what it may have left can't be told from somebody else's.
            OctaError: the API could not be reached, or refused the key. Should a machine have been left, it says so.
        """
        settle_s, deadline_s = checked_seconds("settle_s", settle_s), checked_seconds("deadline_s", deadline_s)
        max_cost_usd = checked_cap("max_cost_usd", max_cost_usd)
        max_duration_s = checked_cap("max_duration_s", max_duration_s)
        requirements = requirements or Requirements()
        whole = self.full_key(key)
        mark = fingerprint_of(request) if fingerprint is None else fingerprint

        def rental_of(
            uuid: str, session: Session | None, adopted: bool, machine: Machine | VpnMachine | None
        ) -> Rental:
            return replace(
                self._rental(uuid, whole, session, service=request.service, machine=machine),
                adopted=adopted,
                max_cost_usd=max_cost_usd,
                max_duration_s=max_duration_s,
                max_price_usd=requirements.max_price_usd,
            )

        def has_same_fingerprint(session: Session) -> bool:
            # One without a mark was started by an earlier release, which knew no fingerprints.
            known = RentalMark.of(session)
            return known is None or known.fingerprint == mark

        starting = Starting(
            client=self._client,
            request=request,
            key=whole,
            requirements=requirements,
            settle_s=settle_s,
            deadline_s=deadline_s,
            max_cost_usd=max_cost_usd,
            max_duration_s=max_duration_s,
            fingerprint=mark,
            attempt=attempt,
            is_wanted=is_wanted or has_same_fingerprint,
            rental_of=rental_of,
            on_started=on_started,
            is_cancelled=is_cancelled,
        )
        return starting.run()

    def full_key(self, key: str) -> str:
        """A key with the client's namespace in front; one that begins with it stays as it is.

        Raises:
            OctaConfigError: it can't be a rental key.
        """
        return with_namespace(key, self._client.namespace)

    def find(self, key: str) -> Rental | None:
        """The rental of a key, if it has an active session; the oldest one when it has several."""
        whole = self.full_key(key)
        sessions = self._client.sessions.list()
        claims = self._claims(whole, sessions)
        names = earlier_forms(whole, self._client.namespace)
        session = oldest(
            s
            for s in sessions
            if runs_under(s, whole, self._client.namespace)
            or (s.rental_key in names and RentalMark.of(s) is None)
            or (s.rental_key is None and s.uuid in claims)
        )
        if session is None:
            return None
        rental = self._rental(session.uuid, session.rental_key or whole, session)
        return replace(rental, adopted=True, claim=claims.get(session.uuid))

    def _claims(self, whole: str, sessions: Sequence[Session]) -> dict[str, str]:
        """What was written down of a key's sessions that may not tell it themselves: uuid to attempt.

        Raises:
            OctaStartUnclearError: what a lost request has left can't be told from somebody else's.
        """
        claims: dict[str, str] = {}
        for intent in self._client.intents.read(whole):
            if intent.uuid is not None:
                claims[intent.uuid] = intent.attempt
                continue
            lost = LostAnswers(self._client, whole, RentalMark("", intent.attempt), intent.service, 0.0)
            left = lost.left_by(intent, sessions)
            if left is not None:
                claims[left.uuid] = lost.claim(intent.attempt, left.uuid)
        return claims

    def open(self, uuid: str, key: str | None = None) -> Rental:
        """A handle on a session by its uuid; no request is made."""
        return Rental(uuid=uuid, key=None if key is None else self.full_key(key), _client=self._client)

    def restore(self, state: Mapping[str, Any]) -> Rental:
        """A handle from what `Rental.to_dict` returned; no request is made."""
        return Rental.from_dict(state, self._client)

    def stop(self, key: str, *, deadline_s: float = 300.0) -> tuple[Bill, ...]:
        """Stop every active session of a key; returns when they have been seen gone. No session is fine too.

        Args:
            key: the rental key, with or without the client's namespace. Without it, what an earlier release started
                under the key as it stands is stopped too.
            deadline_s: seconds to try for.

        Raises:
            OctaStopError: some were still running, or not seen gone, when the deadline passed.
            OctaStartUnclearError: what a lost request of the key has left can't be told from somebody else's; what
                tells the key was stopped.
        """
        whole = self.full_key(key)
        deadline = Deadline(self._client.clock, deadline_s)
        sessions: Sequence[Session] = ()
        try:
            sessions = self._client.within(deadline).sessions.list()
        except OctaError as error:
            # The sweep asks again, and says what may bill should nobody answer.
            log.info("what runs under %s can't be seen now: %s", whole, error)
        unclear: OctaStartUnclearError | None = None
        try:
            claims = self._claims(whole, sessions)
        except OctaStartUnclearError as error:
            # What does tell the key is stopped all the same.
            claims, unclear = {}, error
        ended = sweep(self._client, uuids=tuple(claims), key=whole, deadline_s=deadline_s)
        for attempt in claims.values():
            self._client.intents.remove(whole, attempt)
        if key != whole:
            earlier = [s.uuid for s in sessions if s.rental_key == key and RentalMark.of(s) is None]
            ended |= sweep(self._client, uuids=earlier, key=None, deadline_s=deadline_s)
        if unclear is not None:
            raise unclear
        return tuple(self._rental(uuid, whole, session).bill(session) for uuid, session in ended.items())

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
        """A rental for the length of a `with` block: it is stopped on every way out, signals included.

        Those that ask a process to end: SIGTERM, SIGINT, SIGHUP (the terminal was closed), SIGQUIT, and the like. One
        that is ignored stays ignored, and a handler of the program's own is called as ever.

        Args:
            request, key, requirements: as in `start`.
            stop_deadline_s: seconds to try to stop for.
            options: further arguments of `start`.
        """
        checked_seconds("stop_deadline_s", stop_deadline_s)
        rental: Rental | None = None
        returned = False
        on_started = options.pop("on_started", None)

        def started(told: Rental) -> None:
            # A signal may come before the start returns: from here on there is something to stop.
            nonlocal rental
            rental = told
            if on_started is not None:
                on_started(told)

        def clean_up(error: BaseException | None) -> None:
            if rental is None:
                return
            if error is None:
                rental.stop(deadline_s=stop_deadline_s)
            elif returned or not isinstance(error, OctaError):
                # A start that failed has cleaned up after itself; a signal may have come after that.
                rental.stop_after(error, deadline_s=stop_deadline_s)

        with cleaned_up_by(clean_up):
            rental = self.start(request, key=key, requirements=requirements, on_started=started, **options)
            returned = True
            yield rental

    def reap(
        self,
        prefix: str = "",
        *,
        older_than_s: float = 0.0,
        max_age_s: float | None = None,
        is_alive: Callable[[str], bool | None] = lambda key: False,
        any_namespace: bool = False,
        dry_run: bool = True,
        deadline_s: float = 300.0,
    ) -> Reaped:
        """Find sessions of ours whose owner is gone, and stop them.

        A session without one of our keys is never touched. Nor is one of another namespace, unless asked for: it
        belongs to another installation that shares the account.

        Args:
            prefix: only keys that begin with it, by whole segments: `airflow/a` does not match `airflow/ab/...`. In the
                client's own namespace it is what follows the namespace, in another one the whole key.
            older_than_s: only sessions that have run so many seconds, as the API counts them.
            max_age_s: sessions of the own namespace that have run so many seconds are stopped although their owner
                lives: one that can't run, such as a task of a paused DAG, would let them bill for ever.
            is_alive: told a whole key, says whether its owner still lives: True, False, or None for an owner that it
                does not know. Such a one is gone in the own namespace, and alive in another. What raises counts as
                alive.
            any_namespace: other namespaces too, and what earlier releases started.
            dry_run: only say what would be stopped.
            deadline_s: seconds to try to stop for, all together.
        """
        return reap(
            self._client,
            prefix=prefix,
            older_than_s=checked_seconds("older_than_s", older_than_s),
            max_age_s=None if max_age_s is None else checked_seconds("max_age_s", max_age_s),
            is_alive=is_alive,
            any_namespace=any_namespace,
            dry_run=dry_run,
            deadline_s=usable_seconds("deadline_s", deadline_s, STOP_S),
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
        offered_usd: float | None = getattr(machine, "price_usd", None)
        offered_wei: int | None = getattr(machine, "price_wei", None)
        told_usd = None if session is None else price_usd(session)
        # The session's own price comes in steps: it counts where it really is another one.
        if told_usd and offered_usd and abs(told_usd - offered_usd) > PRICE_STEP_USD:
            steps, offered_steps = round(told_usd / PRICE_STEP_USD), max(1, round(offered_usd / PRICE_STEP_USD))
            offered_wei = None if offered_wei is None else offered_wei * steps // offered_steps
            offered_usd = told_usd
        return Rental(
            uuid=uuid,
            key=session.rental_key or key if session is not None else key,
            service=(session.service if session is not None else "") or service,
            node_id=session.node_id
            if session is not None and session.node_id is not None
            else getattr(machine, "node_id", None),
            price_usd=told_usd if offered_usd is None else offered_usd,
            price_wei=offered_wei,
            started_at=None if session is None else session.started_at,
            _client=self._client,
        )
