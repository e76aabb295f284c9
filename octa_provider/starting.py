"""Starting exactly once: the five steps of the design, for one key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from octa_provider.errors import (
    OctaApiError,
    OctaBudgetError,
    OctaCancelledError,
    OctaConfigError,
    OctaDecodeError,
    OctaError,
    OctaNetworkError,
    OctaNoMachineError,
    OctaRateLimitError,
    OctaRejectedError,
    OctaServerError,
    OctaStopError,
    Refusal,
)
from octa_provider.marketplace import Requirements, rank, rank_vpn
from octa_provider.patience import Deadline, ask_until, is_transient, pauses
from octa_provider.rental_key import RENTAL_KEY_ENV
from octa_provider.request import Request, VpnRequest
from octa_provider.stopping import sweep

if TYPE_CHECKING:
    from octa_provider.client import OctaClient
    from octa_provider.models import Machine, Session, VpnMachine
    from octa_provider.rental import Rental

log = logging.getLogger("octa_provider.starting")

NEVER = datetime.max.replace(tzinfo=timezone.utc)
MAX_MACHINES = 25
WEI_PER_OCTA = 10**18


@dataclass
class Starting:
    """One call of `Rentals.start`, whose arguments it holds.

    `rental_of` makes the rental from a uuid, the session if it was seen, whether it is adopted, and the machine.
    """

    client: OctaClient
    request: Request
    key: str
    requirements: Requirements
    settle_s: float
    deadline_s: float
    max_duration_s: float | None
    rental_of: Callable[[str, Session | None, bool, Machine | VpnMachine | None], Rental]
    on_started: Callable[[Rental], object] | None
    is_cancelled: Callable[[], bool]
    _posted: bool = field(default=False, init=False)
    _unclear: bool = field(default=False, init=False)
    _uuids: list[str] = field(default_factory=list, init=False)
    _asked: Machine | VpnMachine | None = field(default=None, init=False)
    _before: set[str] = field(default_factory=set, init=False)

    def run(self) -> Rental:
        """The one rental of the key."""
        self._keyed_request = self._with_key(self.request)
        self._deadline = Deadline(self.client.clock, self.deadline_s)
        self._refuse_cancelled()
        before = ask_until(self._deadline, self.client.sessions.list)
        mine = self._mine(before)
        if mine:
            return self._adopt(mine)
        machines = self._affordable(self._fitting())
        self._before = {s.uuid for s in before}
        try:
            return self._first_that_starts(machines)
        except BaseException:
            self._abandon()
            raise

    # -- before money is spent -----------------------------------------------------------------------------------

    def _with_key(self, request: Request) -> Request:
        if isinstance(request, VpnRequest):
            return request
        if request.envs.get(RENTAL_KEY_ENV, self.key) != self.key:
            raise OctaConfigError(f"envs must not set {RENTAL_KEY_ENV}: it carries the rental key")
        return request.with_envs({RENTAL_KEY_ENV: self.key})

    def _refuse_cancelled(self) -> None:
        if self.is_cancelled():
            raise OctaCancelledError(f"starting {self.key} was cancelled; nothing of it runs")

    def _mine(self, sessions: Iterable[Session]) -> list[Session]:
        return [s for s in sessions if s.rental_key == self.key]

    def _adopt(self, mine: Sequence[Session]) -> Rental:
        """Step 1: the key already has a session."""
        keep = self._keep_oldest(mine)
        rental = self.rental_of(keep.uuid, keep, True, None)
        log.info("adopted session %s of %s, posted nothing", keep.uuid, self.key)
        self._tell(rental)
        if self.is_cancelled():
            self._sweep()
            self._refuse_cancelled()
        return rental

    def _fitting(self) -> Sequence[Machine | VpnMachine]:
        services = self.client.services
        if isinstance(self.request, VpnRequest):
            return rank_vpn(ask_until(self._deadline, services.vpn.available), self.requirements)
        catalogue = services.mr.available if self.request.service == "mr" else services.render.available
        ranking = rank(ask_until(self._deadline, catalogue), self.requirements)
        if not ranking.machines:
            raise ranking.error()
        return ranking.machines

    def _affordable(self, machines: Sequence[Machine | VpnMachine]) -> Sequence[Machine | VpnMachine]:
        """The machines that the balance pays for; an unreadable balance leaves the refusal to the API."""
        try:
            balance = self.client.accounts.balance().balance_wei
        except OctaError as error:
            if not is_transient(error):
                raise
            log.warning("the balance can't be read, so it is not checked: %s", error)
            return machines
        if balance is None:
            return machines
        if balance <= 0:
            raise OctaBudgetError(f"the account is empty ({_octa(balance)}): top it up, nothing was started")
        if self.max_duration_s is None:
            return machines
        hours = self.max_duration_s / 3600
        paid = [m for m in machines if int((_price_wei(m) or 0) * hours) <= balance]
        if not paid:
            cheapest = min(int((_price_wei(m) or 0) * hours) for m in machines)
            raise OctaBudgetError(
                f"the balance of {_octa(balance)} does not pay for {hours:g} h: the cheapest machine that fits costs "
                f"{_octa(cheapest)} for it; top it up or lower max_duration_s"
            )
        return paid

    # -- spending it ---------------------------------------------------------------------------------------------

    def _first_that_starts(self, machines: Sequence[Machine | VpnMachine]) -> Rental:
        """Steps 2 to 4, machine by machine."""
        refusals: list[Refusal] = []
        for machine in machines[:MAX_MACHINES]:
            found = self._try(machine)
            if isinstance(found, Refusal):
                log.info("node %s: %s", machine.node_id, found.reason)
                refusals.append(found)
                if self._deadline.passed:
                    break
                continue
            uuid, adopted = found
            self._uuids.append(uuid)
            rental = self.rental_of(uuid, None, adopted, machine)
            self._tell(rental)
            self._refuse_cancelled()
            return self._resolve(rental, machine)
        told = "; ".join(f"node {r.node_id}: {r.reason}" for r in refusals[:10])
        raise OctaNoMachineError(
            f"none of the {len(refusals)} machines asked took the session ({told}): "
            "widen the requirements or try later",
            refusals=refusals,
        )

    def _try(self, machine: Machine | VpnMachine) -> tuple[str, bool] | Refusal:
        """Ask one machine: its session's uuid and whether it had to be looked for, or why it refused."""
        pause = pauses()
        while True:
            self._refuse_cancelled()
            self._posted = self._unclear = True
            self._asked = machine
            try:
                started = self.client.services.start(self._keyed_request, machine.node_id)
            except OctaRejectedError as error:
                self._unclear = False
                return Refusal(machine.node_id, error.reason or str(error))
            except OctaError as error:
                if not _may_have_started(error):
                    self._unclear = False
                    wait = self._wait_or_refuse(error, machine, pause)
                    if isinstance(wait, Refusal):
                        return wait
                    self._deadline.pause(wait)
                    continue
                log.warning("node %s: %s; looking whether it started", machine.node_id, error)
                session = self._look_for()
                self._unclear = False
                return Refusal(machine.node_id, str(error)) if session is None else (session.uuid, True)
            self._uuids.append(started.uuid)
            self._unclear = False
            return started.uuid, False

    def _wait_or_refuse(
        self, error: OctaError, machine: Machine | VpnMachine, pause: Callable[[OctaError | None], float]
    ) -> float | Refusal:
        """What to do after an answer that certainly started nothing: wait and ask again, go on, or give up."""
        if isinstance(error, (OctaNetworkError, OctaRateLimitError)):
            if self._deadline.passed:
                raise error
            return pause(error)
        if isinstance(error, OctaApiError):
            if error.status == 402:
                raise OctaBudgetError(f"the balance does not pay for node {machine.node_id}: {error}") from error
            if error.status not in {401, 403}:
                return Refusal(machine.node_id, str(error))
        raise error

    def _look_for(self) -> Session | None:
        """Step 3: the session that an unclear answer may have left, looked for until the settle time is over.

        Only a list that was read after the settle time says that there is none.
        """
        settled = Deadline(self.client.clock, self.settle_s)
        poll_s = max(0.1, min(2.0, self.settle_s / 10))
        while True:
            last_look = settled.passed
            found = self._left_by_us(ask_until(self._deadline, self.client.sessions.list))
            if found:
                return oldest(found)
            if last_look:
                return None
            settled.pause(poll_s)

    def _left_by_us(self, sessions: Sequence[Session]) -> list[Session]:
        """What an unclear answer may have left, as far as a list shows it."""
        return self._mine(sessions) or [s for s in sessions if self._could_be_ours(s)]

    def _could_be_ours(self, session: Session) -> bool:
        """Without an echo of the environment: new since before, on the node that was asked, of the same kind.

        An echo that is empty is one: such a session was started without our key. VPN sessions alone never have any.
        """
        unknown = not session.user_envs if isinstance(self.request, VpnRequest) else session.user_envs is None
        return (
            unknown
            and session.uuid not in self._before
            and self._asked is not None
            and session.node_id == self._asked.node_id
            and session.service == self.request.service
        )

    def _resolve(self, rental: Rental, machine: Machine | VpnMachine) -> Rental:
        """Step 4: several sessions with our key, from two tries at once or a late commit: the oldest one stays."""
        try:
            sessions = ask_until(self._deadline.earlier(max(self.settle_s, 1.0)), self.client.sessions.list)
        except OctaError as error:
            if not is_transient(error):
                raise
            log.warning(
                "whether %s has other sessions can't be seen now; its stop will look again: %s", self.key, error
            )
            return rental
        mine = self._mine(sessions)
        own = next((s for s in sessions if s.uuid == rental.uuid), None)
        others = [s for s in mine if s.uuid != rental.uuid]
        if not others:
            return rental if own is None else self.rental_of(own.uuid, own, rental.adopted, machine)
        keep = self._keep_oldest(mine, also=rental.uuid)
        if keep.uuid == rental.uuid:
            return self.rental_of(keep.uuid, keep, rental.adopted, machine)
        adopted = self.rental_of(keep.uuid, keep, True, None)
        self._tell(adopted)
        return adopted

    def _keep_oldest(self, mine: Sequence[Session], also: str | None = None) -> Session:
        """Of several sessions of the key the oldest; the others are stopped by whoever sees them."""
        keep = oldest(mine)
        assert keep is not None
        extra = {s.uuid for s in mine} | ({also} if also is not None else set())
        extra.discard(keep.uuid)
        if extra:
            log.warning("%s has several sessions: %s stays, %s are stopped", self.key, keep.uuid, ", ".join(extra))
            try:
                sweep(self.client, uuids=extra, key=None, deadline_s=max(1.0, self._deadline.left_s))
            except OctaStopError as error:
                log.warning("the rental's stop will try again: %s", error)
        return keep

    def _tell(self, rental: Rental) -> None:
        if self.on_started is not None:
            self.on_started(rental)

    # -- when it goes wrong --------------------------------------------------------------------------------------

    def _abandon(self) -> None:
        """Leave nothing of the key behind; what can't be stopped now is found by the next try, or by reap."""
        if not self._posted:
            return
        try:
            if self._unclear:
                self._uuids += [session.uuid for session in self._look_once_more()]
            self._sweep()
        except OctaError as error:
            log.error("sessions of %s may be left; start it again, or run: octa-provider reap. %s", self.key, error)

    def _look_once_more(self) -> list[Session]:
        """What the request that was interrupted has left; an outage does not end the look."""
        settled = Deadline(self.client.clock, self.settle_s)
        patient = Deadline(self.client.clock, self._patience_s)
        while True:
            last_look = settled.passed
            found = self._left_by_us(ask_until(patient, self.client.sessions.list))
            if found or last_look:
                return found
            settled.pause(1.0)

    @property
    def _patience_s(self) -> float:
        # Whoever ends us, such as an orchestrator that cancels, kills us soon.
        return max(30.0, self.settle_s)

    def _sweep(self) -> None:
        sweep(self.client, uuids=tuple(self._uuids), key=self.key, deadline_s=self._patience_s)


def oldest(sessions: Iterable[Session]) -> Session | None:
    """The session that stays: first by start, then by uuid, so that everybody who looks agrees."""
    return min(sessions, key=lambda s: (s.started_at or NEVER, s.uuid), default=None)


def _may_have_started(error: OctaError) -> bool:
    if isinstance(error, OctaNetworkError):
        return error.maybe_sent
    if isinstance(error, OctaApiError):
        return isinstance(error, OctaServerError) or error.status == 408
    return isinstance(error, OctaDecodeError)


def _price_wei(machine: Machine | VpnMachine) -> int | None:
    return getattr(machine, "price_wei", None)


def _octa(wei: int) -> str:
    return f"{wei / WEI_PER_OCTA:.4f} OCTA"
