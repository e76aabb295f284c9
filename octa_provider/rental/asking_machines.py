"""Asking machine by machine for a session, until one takes it; what an answer that tells nothing has left is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from octa_provider.errors import (
    OctaApiError,
    OctaAuthenticationError,
    OctaBudgetError,
    OctaError,
    OctaForbiddenError,
    OctaNetworkError,
    OctaNoMachineError,
    OctaRateLimitError,
    OctaRejectedError,
    Refusal,
)
from octa_provider.market.asking_order import MachineOrder
from octa_provider.market.ranking import rank, rank_vpn
from octa_provider.market.request import MachineRequest, Request, VpnRequest
from octa_provider.rental.balance import paid_by_balance, read_balance, within_cap
from octa_provider.rental.clean_up import signals_held
from octa_provider.rental.market_look import machines_on_offer, vpns_on_offer
from octa_provider.rental.refusal import deserves_a_look, may_have_started
from octa_provider.rental.the_only_one import TheOnlyOne
from octa_provider.rental.twins import oldest
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import ask_until, is_transient
from octa_provider.timing.backoff import pauses
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Machine, Session, VpnMachine
    from octa_provider.rental.start_try import StartTry
    from octa_provider.rental.started import Started
    from octa_provider.rental.under_key import UnderKey

__all__ = ["AskingMachines"]

log = plain_logger("octa_provider.rental.asking_machines")

#: The balance is asked for so long: without it the API has to refuse what is not paid for.
BALANCE_S = 10.0


class AskingMachines:
    """The part of a start that spends money.

    Args:
        start: the try.
        request: what to rent, with the key and its mark in it.
        under_key: the sessions of the key.
    """

    def __init__(self, start: StartTry, request: Request, under_key: UnderKey) -> None:
        self._start = start
        self._request = request
        self._under_key = under_key
        self._only_one = TheOnlyOne(start, under_key)

    def first_that_starts(self) -> Started:
        """Ask machine by machine, until one takes the session or none is left, also on a second look.

        Raises:
            OctaNoMachineError: nothing fits, or all that fit refused.
            OctaBudgetError: the balance or a cap does not allow it.
        """
        start = self._start
        refusals: dict[int, Refusal] = {}
        order = MachineOrder(self._fitting(), start.key, start.nodes)
        looked_again = False
        while not start.deadline.passed:
            if not len(order):
                if looked_again:
                    break
                looked_again = True
                order = self._offered_since(refusals)
                continue
            now = start.api.clock.monotonic()
            machine = order.next(now)
            if not start.asks_again and not start.nodes.is_worth_asking(machine.node_id, now):
                refusals[machine.node_id] = Refusal(machine.node_id, "has just refused another start")
                continue
            found = self._try(machine, order)
            if not isinstance(found, Refusal):
                return found
            log.info("node %s: %s", machine.node_id, found.reason)
            refusals[machine.node_id] = found
        told = "; ".join(f"node {r.node_id}: {r.reason}" for r in list(refusals.values())[:10])
        late = f" within {start.deadline_s:g} s, and {len(order)} more were not asked" if len(order) else ""
        raise OctaNoMachineError(
            f"none of the {len(refusals)} machines asked took the session{late} ({told}): "
            "widen the requirements or try later",
            refusals=tuple(refusals.values()),
        )

    # -- before money is spent -----------------------------------------------------------------------------------

    def _fitting(self) -> Sequence[Machine | VpnMachine]:
        """The machines that fit, best first, and that the caps and the balance allow."""
        start, age_s = self._start, self._start.catalogue_age_s
        cancelled = start.is_unwanted
        if isinstance(start.request, VpnRequest):
            vpns = ask_until(start.deadline, lambda: vpns_on_offer(start.octa, max_age_s=age_s, is_cancelled=cancelled))
            fitting = rank_vpn(vpns, start.requirements)
            return paid_by_balance(fitting, start.max_duration_s, self._balance_wei())
        service = start.request.service
        machines = ask_until(
            start.deadline, lambda: machines_on_offer(start.octa, service, max_age_s=age_s, is_cancelled=cancelled)
        )
        ranking = rank(machines, start.requirements)
        if not ranking.machines:
            raise ranking.error()
        held = within_cap(ranking.machines, start.cap_usd)
        return paid_by_balance(held, start.max_duration_s, self._balance_wei())

    def _balance_wei(self) -> int | None:
        if isinstance(self._request, MachineRequest) and self._request.organization_id is not None:
            # What the account has says nothing of what its organisation has.
            return None
        return read_balance(self._start.api.within(self._start.deadline.earlier(BALANCE_S)))

    def _offered_since(self, refusals: dict[int, Refusal]) -> MachineOrder:
        """Machines that have come into the catalogue since it was read."""
        try:
            machines = [m for m in self._fitting() if m.node_id not in refusals]
        except (OctaNoMachineError, OctaBudgetError):
            machines = []
        return MachineOrder(machines, self._start.key, self._start.nodes)

    # -- spending it ---------------------------------------------------------------------------------------------

    def _try(self, machine: Machine | VpnMachine, order: MachineOrder) -> Started | Refusal:
        """Ask one machine: the rental, or why it refused."""
        start = self._start
        pause = pauses()
        while True:
            start.refuse_cancelled()
            start.has_asked = True
            start.lost.about_to_ask(machine.node_id, start.sessions)
            start.is_unclear = True
            try:
                # A signal waits for the answer, which alone tells what there is to stop.
                with signals_held():
                    request = start.telling_of_those_before(self._request)
                    uuid, adopted = start.octa.services.start(request, machine.node_id).uuid, False
                    start.uuids.append(uuid)
                    start.is_unclear = False
            except OctaRejectedError as error:
                start.is_unclear = False
                start.nodes.refused(machine.node_id, start.api.clock.monotonic())
                return Refusal(machine.node_id, error.reason or str(error))
            except OctaError as error:
                certain = not may_have_started(error)
                session = self._seen_after_refusal(error) if certain and deserves_a_look(error) else None
                if certain and session is None:
                    start.is_unclear = False
                    wait = self._wait_or_refuse(error, machine, pause)
                    if isinstance(wait, Refusal):
                        return wait
                    start.deadline.pause(wait)
                    continue
                log.warning("node %s: %s; looking whether it started", machine.node_id, error)
                start.nodes.failed(machine.node_id, start.api.clock.monotonic())
                session = session or self._look_for(start.settle_s)
                start.is_unclear = False
                if session is None:
                    if isinstance(error, OctaRateLimitError) and not start.deadline.passed:
                        # Whoever stands in front of the API: the machine was not asked.
                        start.deadline.pause(pause(error))
                        continue
                    order.waited_in_vain()
                    return Refusal(machine.node_id, str(error))
                uuid, adopted = session.uuid, True
            start.nodes.took(machine.node_id)
            return self._only_one.of(uuid, adopted, machine)

    def _wait_or_refuse(
        self, error: OctaError, machine: Machine | VpnMachine, pause: Callable[[OctaError | None], float]
    ) -> float | Refusal:
        """What to do after an answer that certainly started nothing: wait and ask again, go on, or give up."""
        if isinstance(error, (OctaNetworkError, OctaRateLimitError)):
            if self._start.deadline.passed or not is_transient(error):
                raise error
            return pause(error)
        if isinstance(error, OctaApiError):
            if error.status == 402:
                raise OctaBudgetError(f"the balance does not pay for node {machine.node_id}: {error}") from error
            if error.status not in {401, 403}:
                self._start.nodes.refused(machine.node_id, self._start.api.clock.monotonic())
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
        start = self._start
        settled = Deadline(start.api.clock, settle_s)
        poll_s = max(0.1, min(2.0, settle_s / 10))
        while True:
            last_look = settled.passed
            sessions = start.listed()
            found = oldest(self._under_key.mine(sessions)) or (
                start.lost.left_for_certain(sessions) if last_look else None
            )
            if found is not None or last_look:
                if found is not None and start.is_own(found):
                    start.uuids.append(found.uuid)
                return found
            settled.pause(poll_s)
