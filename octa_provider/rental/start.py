"""Starting exactly once: one key, one session, whoever else tries at the same time and whatever gets lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octa_provider.errors import (
    OctaApiError,
    OctaAuthenticationError,
    OctaBudgetError,
    OctaCancelledError,
    OctaConfigError,
    OctaError,
    OctaForbiddenError,
    OctaNetworkError,
    OctaNoMachineError,
    OctaRateLimitError,
    OctaRejectedError,
    OctaStartUnclearError,
    OctaStopError,
    Refusal,
)
from octa_provider.market.node_memory import nodes_of
from octa_provider.market.order import MachineOrder
from octa_provider.market.ranking import rank, rank_vpn
from octa_provider.market.request import Request, VpnRequest
from octa_provider.market.requirements import Requirements
from octa_provider.models import SessionPhase
from octa_provider.rental.balance import paid_by_balance, read_balance, within_cap
from octa_provider.rental.cost import too_dear
from octa_provider.rental.key import RENTAL_KEY_ENV, earlier_forms
from octa_provider.rental.lost_answer import LostAnswers
from octa_provider.rental.mark import RENTAL_MARK_ENV, RentalMark, runs_under
from octa_provider.rental.refusal import deserves_a_look, may_have_started
from octa_provider.rental.signals import cleaned_up_by, signals_held
from octa_provider.rental.stop import stop_command, sweep
from octa_provider.rental.twins import oldest
from octa_provider.text.plain_log import plain_logger
from octa_provider.timing.asking import ask_until, is_transient
from octa_provider.timing.backoff import pauses
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Machine, Records, Session, VpnMachine
    from octa_provider.rental.rental_api import RentalApi

log = plain_logger("octa_provider.rental.start")

#: A try that was refused everywhere looks so long for a session that another try of its key has just started.
SIBLING_S = 3.0
#: The balance is asked for so long: without it the API has to refuse what is not paid for.
BALANCE_S = 10.0
#: A clean-up may take so long: whoever ends us, such as an orchestrator that cancels, kills us soon after.
CLEAN_UP_S = 30.0


@dataclass(frozen=True)
class Started:
    """What a start has come to.

    Attributes:
        uuid: the session.
        session: as it was last seen, if it was.
        adopted: whether it was there already, or an answer was lost on the way.
        machine: as the catalogue offered it, where it was chosen now.
        claim: what the store of intents knows it by; None for a session that tells its key itself.
    """

    uuid: str
    session: Session | None
    adopted: bool
    machine: Machine | VpnMachine | None
    claim: str | None = None


@dataclass
class Starting:
    """One call of `Rentals.start`, whose arguments it holds.

    Attributes:
        api, request, key, requirements, settle_s, deadline_s, max_cost_usd, max_duration_s, fingerprint, attempt,
            is_wanted, on_started, is_cancelled: as in `Rentals.start`; the key is whole.
    """

    api: RentalApi
    request: Request
    key: str
    requirements: Requirements
    settle_s: float
    deadline_s: float
    max_cost_usd: float | None
    max_duration_s: float | None
    fingerprint: str
    attempt: str | None
    is_wanted: Callable[[Session], bool]
    on_started: Callable[[Started], object] | None
    is_cancelled: Callable[[], bool]
    #: Sessions that an answer to this very try told of.
    _uuids: list[str] = field(default_factory=list, init=False)
    #: Whether a request is under way whose answer nobody knows yet.
    _unclear: bool = field(default=False, init=False)
    #: Whether any machine has been asked.
    _asked: bool = field(default=False, init=False)

    def run(self) -> Started:
        """The one rental of the key."""
        self._mark = RentalMark.new(self.fingerprint, self.api.namespace, self.attempt)
        self._deadline = Deadline(self.api.clock, self.deadline_s)
        self._octa = self.api.within(self._deadline)
        self._nodes = nodes_of(self.api.transport.account, self.api.clock)
        self._lost = LostAnswers(self.api, self.key, self._mark, self.request.service, self.settle_s)
        self._marked_request = self._marked(self.request)
        self._refuse_cancelled()
        rental = self._existing()
        if rental is not None:
            return rental
        adopted: Started | None = None

        def clean_up(error: BaseException | None) -> None:
            nonlocal adopted
            if error is not None:
                adopted = self._adopted_after(error)
                if adopted is None:
                    self._abandon(error)

        try:
            # A signal that comes while this cleans up waits until nothing is left.
            with cleaned_up_by(clean_up):
                return self._first_that_starts()
        except OctaError:
            if adopted is None:
                raise
            return adopted

    def _marked(self, request: Request) -> Request:
        if isinstance(request, VpnRequest):
            return request
        for name in (RENTAL_KEY_ENV, RENTAL_MARK_ENV):
            if name in request.envs and request.envs[name] != self.key:
                raise OctaConfigError(f"envs must not set {name}: it carries the rental key, or what belongs to it")
        return request.with_envs(self._mark.envs(self.key))

    def _refuse_cancelled(self) -> None:
        if self.is_cancelled():
            raise OctaCancelledError(f"starting {self.key} was cancelled; nothing of it runs")

    def _list(self) -> Records[Session]:
        sessions = ask_until(self._deadline, self._octa.sessions.list)
        self._nodes.saw(sessions)
        self._sessions = sessions
        return sessions

    # -- what runs under the key already -------------------------------------------------------------------------

    def _existing(self) -> Started | None:
        """The rental to adopt, if there is one.

        A session that is being stopped is waited out. One that was started for something else, or is too dear, is
        stopped; when there is another such one then, two different pieces of work share the key.
        """
        replaced: set[str] = set()
        settled = Deadline(self.api.clock, self.settle_s)
        while True:
            sessions = self._list()
            mine = self._mine(sessions)
            living = [session for session in mine if session.phase is not SessionPhase.STOPPING]
            recalled = None if mine else self._lost.recall(sessions, self._deadline, may_wait=not settled.passed)
            keep = oldest(living) if recalled is None else recalled[1]
            if keep is not None:
                why = self._why_not(keep, None if recalled is None else recalled[0].fingerprint)
                if why is None:
                    return self._adopt(living or [keep], None if recalled is None else recalled[0].attempt)
                if replaced and keep.uuid not in replaced:
                    raise self._two_works()
                log.warning("session %s of %s: %s; it is stopped, and another one started", keep.uuid, self.key, why)
                replaced |= {session.uuid for session in living} | {keep.uuid}
                sweep(self.api, uuids=replaced, key=None, deadline_s=max(1.0, self._deadline.left_s))
            elif mine:
                if self._deadline.passed:
                    raise OctaStopError(
                        f"session {mine[0].uuid} of {self.key} is still being stopped after {self.deadline_s:g} s, so "
                        f"nothing new was started. Run: {stop_command([mine[0].uuid])}",
                        uuids=[session.uuid for session in mine],
                    )
                log.info("session %s of %s is being stopped: waiting until it is gone", mine[0].uuid, self.key)
                self._deadline.pause(1.0)
            elif self._lost.pending and not settled.passed:
                settled.pause(max(0.1, min(1.0, self.settle_s / 10)))
            else:
                return None
            self._refuse_cancelled()

    def _mine(self, sessions: Iterable[Session]) -> list[Session]:
        """The sessions of this key, also those that an earlier release started under what it called it then."""
        earlier = earlier_forms(self.key, self.api.namespace)
        return [
            session
            for session in sessions
            if runs_under(session, self.key, self.api.namespace)
            # Other work under that name is left alone: it may be another installation's.
            or (session.rental_key in earlier and RentalMark.of(session) is None and self._is_same_work(session))
        ]

    def _is_same_work(self, session: Session) -> bool:
        try:
            return self.is_wanted(session)
        except OctaConfigError as error:
            log.info("session %s is not taken for an earlier one of %s: %s", session.uuid, self.key, error)
            return False

    def _why_not(self, session: Session, fingerprint: str | None = None) -> str | None:
        """Why a session of the key can't be adopted; None when it can."""
        wanted = self.is_wanted(session) if fingerprint is None else fingerprint == self.fingerprint
        if not wanted:
            return "it was started for something else"
        return too_dear(session, self.requirements.max_price_usd)

    def _two_works(self) -> OctaConfigError:
        return OctaConfigError(
            f"the key {self.key} is used for two different pieces of work at the same time: give each its own"
        )

    def _adopt(self, mine: Sequence[Session], claim: str | None = None) -> Started:
        keep = self._keep_oldest(mine)
        if claim is not None:
            claim = self._lost.claim(claim, keep.uuid)
        rental = Started(keep.uuid, keep, True, None, claim)
        self._lost.told(mine)
        log.info("adopted session %s of %s, posted nothing", keep.uuid, self.key)
        self._tell(rental)
        if self.is_cancelled():
            self._sweep_key()
            self._refuse_cancelled()
        return rental

    # -- before money is spent -----------------------------------------------------------------------------------

    def _fitting(self) -> Sequence[Machine | VpnMachine]:
        """The machines that fit, best first, and that the caps and the balance allow."""
        services = self._octa.services
        if isinstance(self.request, VpnRequest):
            vpns = rank_vpn(ask_until(self._deadline, services.vpn.available), self.requirements)
            return paid_by_balance(vpns, self.max_duration_s, self._balance_wei())
        catalogue = services.mr.available if self.request.service == "mr" else services.render.available
        ranking = rank(ask_until(self._deadline, catalogue), self.requirements)
        if not ranking.machines:
            raise ranking.error()
        held = within_cap(ranking.machines, self.max_cost_usd)
        return paid_by_balance(held, self.max_duration_s, self._balance_wei())

    def _balance_wei(self) -> int | None:
        return read_balance(self.api.within(self._deadline.earlier(BALANCE_S)))

    # -- spending it ---------------------------------------------------------------------------------------------

    def _first_that_starts(self) -> Started:
        """Ask machine by machine, until one takes the session or none is left, also on a second look."""
        refusals: dict[int, Refusal] = {}
        order = MachineOrder(self._fitting(), self.key, self._nodes)
        looked_again = False
        while not self._deadline.passed:
            if not len(order):
                if looked_again:
                    break
                looked_again = True
                order = self._offered_since(refusals)
                continue
            machine = order.next(self.api.clock.monotonic())
            found = self._try(machine, order)
            if not isinstance(found, Refusal):
                return found
            log.info("node %s: %s", machine.node_id, found.reason)
            refusals[machine.node_id] = found
        told = "; ".join(f"node {r.node_id}: {r.reason}" for r in list(refusals.values())[:10])
        late = f" within {self.deadline_s:g} s, and {len(order)} more were not asked" if len(order) else ""
        raise OctaNoMachineError(
            f"none of the {len(refusals)} machines asked took the session{late} ({told}): "
            "widen the requirements or try later",
            refusals=tuple(refusals.values()),
        )

    def _offered_since(self, refusals: dict[int, Refusal]) -> MachineOrder:
        """Machines that have come into the catalogue since it was read."""
        try:
            machines = [m for m in self._fitting() if m.node_id not in refusals]
        except (OctaNoMachineError, OctaBudgetError):
            machines = []
        return MachineOrder(machines, self.key, self._nodes)

    def _try(self, machine: Machine | VpnMachine, order: MachineOrder) -> Started | Refusal:
        """Ask one machine: the rental, or why it refused."""
        pause = pauses()
        while True:
            self._refuse_cancelled()
            self._asked = True
            self._lost.about_to_ask(machine.node_id, self._sessions)
            self._unclear = True
            try:
                # A signal waits for the answer, which alone tells what there is to stop.
                with signals_held():
                    uuid, adopted = self._octa.services.start(self._marked_request, machine.node_id).uuid, False
                    self._uuids.append(uuid)
                    self._unclear = False
            except OctaRejectedError as error:
                self._unclear = False
                self._nodes.refused(machine.node_id, self.api.clock.monotonic())
                return Refusal(machine.node_id, error.reason or str(error))
            except OctaError as error:
                certain = not may_have_started(error)
                session = self._seen_after_refusal(error) if certain and deserves_a_look(error) else None
                if certain and session is None:
                    self._unclear = False
                    wait = self._wait_or_refuse(error, machine, pause)
                    if isinstance(wait, Refusal):
                        return wait
                    self._deadline.pause(wait)
                    continue
                log.warning("node %s: %s; looking whether it started", machine.node_id, error)
                self._nodes.failed(machine.node_id, self.api.clock.monotonic())
                session = session or self._look_for(self.settle_s)
                self._unclear = False
                if session is None:
                    if isinstance(error, OctaRateLimitError) and not self._deadline.passed:
                        # Whoever stands in front of the API: the machine was not asked.
                        self._deadline.pause(pause(error))
                        continue
                    order.waited_in_vain()
                    return Refusal(machine.node_id, str(error))
                uuid, adopted = session.uuid, True
            self._nodes.took(machine.node_id)
            return self._resolve(uuid, adopted, machine)

    def _wait_or_refuse(
        self, error: OctaError, machine: Machine | VpnMachine, pause: Callable[[OctaError | None], float]
    ) -> float | Refusal:
        """What to do after an answer that certainly started nothing: wait and ask again, go on, or give up."""
        if isinstance(error, (OctaNetworkError, OctaRateLimitError)):
            if self._deadline.passed or not is_transient(error):
                raise error
            return pause(error)
        if isinstance(error, OctaApiError):
            if error.status == 402:
                raise OctaBudgetError(f"the balance does not pay for node {machine.node_id}: {error}") from error
            if error.status not in {401, 403}:
                self._nodes.refused(machine.node_id, self.api.clock.monotonic())
                return Refusal(machine.node_id, str(error))
        raise error

    def _seen_after_refusal(self, refusal: OctaError) -> Session | None:
        """What runs although the API said that it started nothing."""
        try:
            return self._look_for(0.0)
        except (OctaAuthenticationError, OctaForbiddenError):
            if isinstance(refusal, (OctaAuthenticationError, OctaForbiddenError)):
                # The key is refused here as well: nobody else's answer.
                return None
            raise

    def _look_for(self, settle_s: float) -> Session | None:
        """The session that an unclear answer may have left, looked for until the settle time is over.

        Only a list that was read after the settle time says that there is none, or, where sessions do not echo their
        environment, which it is.

        Args:
            settle_s: seconds to look for; 0 looks once.
        """
        settled = Deadline(self.api.clock, settle_s)
        poll_s = max(0.1, min(2.0, settle_s / 10))
        while True:
            last_look = settled.passed
            sessions = self._list()
            found = oldest(self._mine(sessions)) or (self._lost.left_for_certain(sessions) if last_look else None)
            if found is not None or last_look:
                if found is not None and self._is_own(found):
                    self._uuids.append(found.uuid)
                return found
            settled.pause(poll_s)

    def _is_own(self, session: Session) -> bool:
        """Whether this very try has started it; one that tells nothing has just been reckoned to be."""
        mark = RentalMark.of(session)
        return session.rental_key is None if mark is None else mark.attempt == self._mark.attempt

    def _resolve(self, uuid: str, adopted: bool, machine: Machine | VpnMachine) -> Started | Refusal:
        """A session runs: is it the only one of its key, does it tell its key, and does it cost what it should?"""
        claim: str | None = self._lost.started(uuid)
        rental = Started(uuid, None, adopted, machine, claim)
        self._tell(rental)
        self._refuse_cancelled()
        try:
            sessions = self._listed_with(uuid)
        except OctaError as error:
            if not is_transient(error):
                raise
            log.warning(
                "whether %s has other sessions can't be seen now; its stop will look again: %s", self.key, error
            )
            return rental
        own = next((s for s in sessions if s.uuid == uuid), None)
        if own is None:
            # Not listed yet.
            mine = self._mine(sessions)
        else:
            dear = too_dear(own, self.requirements.max_price_usd)
            if dear is not None:
                return self._too_dear(own, dear)
            if own.rental_key is not None:
                self._lost.settled()
                claim = None
            rental = Started(uuid, own, adopted, machine, claim)
            mine = self._mine(sessions)
        living = [s for s in mine if s.phase is not SessionPhase.STOPPING]
        if not [s for s in living if s.uuid != uuid]:
            return rental
        keep = oldest(living)
        assert keep is not None
        if not self.is_wanted(keep):
            raise self._two_works()
        self._keep_oldest(living, also=uuid)
        if keep.uuid == uuid:
            return rental
        adopted_rental = Started(keep.uuid, keep, True, None)
        self._lost.settled()
        self._tell(adopted_rental)
        return adopted_rental

    def _listed_with(self, uuid: str) -> Records[Session]:
        """A list that shows our session, so that it also shows those that began before; asked until it is settled.

        While a list lags behind, two tries at once would each take theirs for the only one.
        """
        settled = Deadline(self.api.clock, self.settle_s)
        while True:
            last_look = settled.passed
            sessions = ask_until(self._deadline.earlier(max(self.settle_s, 1.0)), self._octa.sessions.list)
            if last_look or any(s.uuid == uuid for s in sessions):
                self._nodes.saw(sessions)
                return sessions
            settled.pause(max(0.1, min(1.0, self.settle_s / 10)))
            self._refuse_cancelled()

    def _too_dear(self, session: Session, why: str) -> Refusal:
        """Stop what costs more than it may, and say so for this machine."""
        log.warning("session %s on node %s: %s; it is stopped", session.uuid, session.node_id, why)
        sweep(self.api, uuids=[session.uuid], key=None, deadline_s=max(CLEAN_UP_S, self._deadline.left_s))
        self._lost.settled()
        return Refusal(session.node_id, why)

    def _keep_oldest(self, mine: Sequence[Session], also: str | None = None) -> Session:
        """Of several sessions of the key the oldest; the others are stopped by whoever sees them."""
        keep = oldest(mine)
        assert keep is not None
        extra = {s.uuid for s in mine} | ({also} if also is not None else set())
        extra.discard(keep.uuid)
        if extra:
            log.warning("%s has several sessions: %s stays, %s are stopped", self.key, keep.uuid, ", ".join(extra))
            try:
                sweep(self.api, uuids=extra, key=None, deadline_s=max(1.0, self._deadline.left_s))
            except OctaStopError as error:
                log.warning("the rental's stop will try again: %s", error)
        return keep

    def _tell(self, started: Started) -> None:
        if self.on_started is not None:
            self.on_started(started)

    # -- when it goes wrong --------------------------------------------------------------------------------------

    def _adopted_after(self, error: BaseException) -> Started | None:
        """The session of another try of this key, which was quicker: it may be why everybody refused this one."""
        if not isinstance(error, (OctaNoMachineError, OctaBudgetError)):
            return None
        seen_until = Deadline(self.api.clock, min(SIBLING_S, self.settle_s) if self._asked else 0.0)
        while True:
            last_look = seen_until.passed
            try:
                mine = [s for s in self._mine(self._list()) if s.phase is not SessionPhase.STOPPING]
            except OctaError as problem:
                log.warning("whether another try has started %s can't be seen: %s", self.key, problem)
                return None
            keep = oldest(mine)
            if keep is not None and self._why_not(keep) is None:
                self._lost.settled()
                return self._adopt(mine)
            if last_look:
                return None
            seen_until.pause(0.5)

    def _abandon(self, error: BaseException) -> None:
        """Leave nothing behind that this try has started; what can't be stopped now is named in the error.

        What another try of the key has started stays, unless the key itself was cancelled.
        """
        if isinstance(error, OctaStartUnclearError):
            # Stopping would be guessing: the intent stays, for the next try.
            return
        try:
            if self._unclear:
                self._uuids += [session.uuid for session in self._look_once_more()]
            if isinstance(error, OctaCancelledError):
                self._sweep_key()
            elif self._uuids:
                sweep(self.api, uuids=self._uuids, key=None, deadline_s=self._clean_up_s)
            self._lost.settled()
        except OctaError as problem:
            if isinstance(problem, OctaStartUnclearError):
                told = problem.message
            else:
                left = stop_command(self._uuids, None if self._uuids else self.key)
                told = (
                    f"A machine of {self.key} may have been left and bill on. Run: {left} (not now, because: {problem})"
                )
            log.error("%s", told)
            if isinstance(error, OctaError):
                error.also(told)

    def _look_once_more(self) -> list[Session]:
        """What this try's own request, whose answer is not known, has left; an outage does not end the look."""
        settled = Deadline(self.api.clock, self.settle_s)
        patient = Deadline(self.api.clock, self._clean_up_s)
        octa = self.api.within(patient)
        while True:
            last_look = settled.passed
            sessions = ask_until(patient, octa.sessions.list)
            found = [s for s in sessions if s.rental_key == self.key and self._is_own(s)]
            if found or last_look:
                left = None if found else self._lost.left_for_certain(sessions)
                return found if left is None else [left]
            settled.pause(1.0)

    @property
    def _clean_up_s(self) -> float:
        return max(CLEAN_UP_S, self.settle_s)

    def _sweep_key(self) -> None:
        sweep(self.api, uuids=tuple(self._uuids), key=self.key, deadline_s=self._clean_up_s)
