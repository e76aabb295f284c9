"""Starting until something is up: a machine that never comes up is seen gone before another one is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from octa_provider.errors import (
    OctaBudgetError,
    OctaConfigError,
    OctaError,
    OctaNoMachineError,
    OctaSessionFailedError,
    OctaWaitTimeoutError,
)
from octa_provider.market.request import Request, VpnRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.elsewhere import but_not_on, cap_for_another, stop_alone
from octa_provider.rental.mark import fingerprint_of, is_marked
from octa_provider.rental.start_attempts import check_start_attempts
from octa_provider.rental.tried_machine import TriedMachine, all_before, attempts_of, cap_left
from octa_provider.rental.tried_mark import tried_envs
from octa_provider.rental.wait import wait_until_ready
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.limits import checked_cap, checked_pause, checked_seconds
from octa_provider.wire.session_envs import TRIED_ENV

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental import Rental
    from octa_provider.rental.rental_starts import RentalStarts
    from octa_provider.rental.terms import Bill

__all__ = ["ComingUp", "coming_up_of", "start_ready"]

log = plain_logger("octa_provider.rental.start_ready")


@dataclass(frozen=True)
class ComingUp:
    """How a machine comes up.

    Args:
        ready_timeout_s: seconds that each may take.
        start_attempts: how many are tried, one after the other.
        poll_s: seconds between two looks.

    Raises:
        OctaConfigError: a time is none, or one at which nothing could come up.
    """

    ready_timeout_s: float
    start_attempts: int = 1
    poll_s: float = 5.0

    def __post_init__(self) -> None:
        checked_seconds("ready_timeout_s", self.ready_timeout_s)
        checked_pause("poll_s", self.poll_s)

    def check(self, request: Request, requirements: Requirements) -> None:
        """Refuse what can't be tried.

        Args:
            request: what is rented.
            requirements: which machine.

        Raises:
            OctaConfigError: so many can't be tried of this.
        """
        check_start_attempts(self.start_attempts, requirements.node_id)
        if isinstance(request, VpnRequest):
            if self.start_attempts > 1:
                raise OctaConfigError(
                    f"start_attempts={self.start_attempts} tells of the machines before in a session's environment, "
                    "and a vpn session has none: leave it out"
                )
        elif TRIED_ENV in request.envs:
            raise OctaConfigError(f"envs must not set {TRIED_ENV}: it carries the machines that were tried before")


def coming_up_of(ready_timeout_s: float | None, start_attempts: int, poll_s: float) -> ComingUp | None:
    """How a machine comes up; None where nobody waits for that.

    Args:
        ready_timeout_s: seconds that each may take; None for no wait.
        start_attempts: how many are tried, one after the other.
        poll_s: seconds between two looks.

    Raises:
        OctaConfigError: several are tried, and nothing says how long one may take; or a number is none.
    """
    if ready_timeout_s is not None:
        return ComingUp(ready_timeout_s, start_attempts, poll_s)
    check_start_attempts(start_attempts, None)
    if start_attempts > 1:
        raise OctaConfigError(
            f"start_attempts={start_attempts} tries another machine when one does not come up in time: give "
            "ready_timeout_s, the seconds that each may take"
        )
    return None


def start_ready(
    rentals: RentalStarts,
    request: Request,
    coming_up: ComingUp,
    *,
    requirements: Requirements,
    on_started: Callable[[Rental], object],
    on_rented: Callable[[Rental], object],
    on_given_up: Callable[[Bill], object],
    options: Mapping[str, Any],
) -> tuple[Rental, Session]:
    """Start a session under a key, or adopt the one that it has, and wait until it can be used.

    Args:
        rentals: what starts and stops.
        request: what to rent.
        coming_up: how long a machine may take, and how many are tried.
        requirements: which machine.
        on_started: as in `Rentals.start`, for each.
        on_rented: called with each rental when its start has returned: from then on whoever calls has to stop it.
        on_given_up: called with the bill of one that never came up, when it has been seen gone.
        options: further arguments of `Rentals.start`, the key among them; `max_cost_usd` is the cap on all of them
            together, and `is_cancelled` ends the wait too.

    Raises:
        OctaWaitTimeoutError, OctaSessionFailedError: none came up, or it was gone.
        OctaError: as `Rentals.start` and `Rental.wait_until_ready`.
    """
    coming_up.check(request, requirements)
    given = dict(options)
    max_cost_usd = checked_cap("max_cost_usd", given.pop("max_cost_usd", None))
    is_cancelled: Callable[[], bool] = given.pop("is_cancelled", None) or (lambda: False)
    mark = given.pop("fingerprint", None) or fingerprint_of(request)
    is_wanted = given.pop("is_wanted", None) or (lambda session: is_marked(session, mark))
    replaces = frozenset(given.pop("replaces", ()))
    tried: tuple[TriedMachine, ...] = ()
    last: OctaError | None = None

    def known(rental: Rental) -> Rental:
        # One that another try has started in the same one's place may know more.
        before = all_before(rental.tried, tried)
        return msgspec.structs.replace(rental, tried=before, max_cost_usd=cap_left(max_cost_usd, before))

    def is_it(session: Session) -> bool:
        return all(session.uuid != one.uuid for one in tried) and is_wanted(session)

    while True:
        try:
            rental = known(
                rentals.start(
                    request if isinstance(request, VpnRequest) else request.with_envs(tried_envs(tried)),
                    requirements=but_not_on(requirements, tried),
                    max_cost_usd=cap_for_another(max_cost_usd, tried) if tried else max_cost_usd,
                    fingerprint=mark,
                    is_wanted=is_it,
                    replaces=replaces | {one.uuid for one in tried},
                    is_cancelled=is_cancelled,
                    on_started=lambda told: on_started(known(told)),
                    **given,
                )
            )
        except (OctaNoMachineError, OctaBudgetError) as error:
            if last is None:
                raise
            if isinstance(error, OctaBudgetError):
                error.also(f"The machine before: {_first_line(last)}")
                raise error from last
            last.also(f"No other machine: {error}")
            raise last from error
        on_rented(rental)
        gone: list[Bill] = []
        try:
            return rental, wait_until_ready(
                rentals.api,
                rental,
                deadline_s=coming_up.ready_timeout_s,
                poll_s=coming_up.poll_s,
                is_cancelled=is_cancelled,
                stop_never_up=partial(_stop_for_another, rental, gone),
            )
        except (OctaWaitTimeoutError, OctaSessionFailedError) as error:
            if not gone:
                # It went by itself, or somebody stopped it: what ran on it nobody can tell.
                raise
            on_given_up(gone[0])
            tried = (*rental.tried, TriedMachine.of(rental, gone[0], error.message))
            if attempts_of(tried) >= coming_up.start_attempts:
                raise
            last = error
            # Whoever waits for any machine has had one: a scarce market is not waited for again.
            given["wait_for_machine_s"] = 0.0
            log.warning(
                "session %s of %s on node %s never came up, and was stopped (%s): trying another machine, %d of %d",
                *(rental.uuid, rental.key, rental.node_id, _first_line(error)),
                *(attempts_of(tried) + 1, coming_up.start_attempts),
            )


def _stop_for_another(rental: Rental, gone: list[Bill]) -> None:
    gone.append(stop_alone(rental.api, rental))


def _first_line(error: OctaError) -> str:
    """Without the log that follows."""
    return error.message.partition("\n")[0]
