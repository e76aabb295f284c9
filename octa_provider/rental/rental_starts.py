"""Starting rentals: under a key exactly once, for the length of a block, and until something is up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from octa_provider.market.request import Request, VpnRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.key import with_namespace
from octa_provider.rental.leaving import Leaving
from octa_provider.rental.machine_wait import MACHINE_POLL_S, start_waiting
from octa_provider.rental.mark import fingerprint_of, is_marked
from octa_provider.rental.rental import Rental, rental_of
from octa_provider.rental.renting import rented
from octa_provider.rental.replaced import Replaced
from octa_provider.rental.start import start_once
from octa_provider.rental.start_ready import coming_up_of
from octa_provider.rental.start_try import StartTry
from octa_provider.rental.terms import Bill
from octa_provider.rental.tried_machine import all_before, cap_left
from octa_provider.rental.tried_mark import tried_in
from octa_provider.timing.clock import Clock
from octa_provider.timing.limits import checked_cap, checked_pause, checked_seconds

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.started import Started
    from octa_provider.rental.tried_machine import TriedMachine


#: What was started and did not come up is asked to stop for so long.
STOP_DEADLINE_S = 300.0


class RentalStarts:
    """What of `client.rentals` starts something: one piece of work never rents twice."""

    def __init__(self, api: RentalApi) -> None:
        self._api = api

    @property
    def api(self) -> RentalApi:
        """The API that they are rented by."""
        return self._api

    @property
    def clock(self) -> Clock:
        """Where the time comes from."""
        return self._api.clock

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
        replaces: Collection[str] = (),
        on_replaced: Callable[[TriedMachine], object] | None = None,
        on_started: Callable[[Rental], object] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        wait_for_machine_s: float = 0.0,
        machine_poll_s: float = MACHINE_POLL_S,
        on_waiting: Callable[[str], object] | None = None,
        leaving: Leaving | None = None,
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
            replaces: uuids of sessions of the key that were stopped, and whose place this one takes: should a list
                show one again, it is stopped again, and this one stays.
            on_replaced: called, before this returns, with each session of the same work that was stopped since this one
                takes its place, such as one whose price has risen: whoever asks counts it himself. Left out, they are
                in `Rental.tried`, and off `max_cost_usd`, which is the cap on all of them either way.
            on_started: called with the rental as soon as its uuid is known, to write it down.
            is_cancelled: asked before and after every step that spends money; when it says yes, what was started is
                stopped. It ends the wait for a machine too.
            wait_for_machine_s: seconds to wait for a machine when none fits, or all that fit refuse; each look ranks
                what is on offer then. `deadline_s` counts for each try, not for the wait. 0 fails at once.
            machine_poll_s: seconds between two looks while a machine is waited for, at least; all that wait in this
                process share one request for the catalogue in that time.
            on_waiting: called with a sentence when it begins to wait, which says why, and with one when it goes on;
                left out, they are logged. What it raises is logged.
            leaving: tells whether whoever starts leaves while others may go on with the key: then what this call has
                started is stopped, and nothing else; left out, only `is_cancelled` ends it.

        Raises:
            OctaNoMachineError: nothing fits, or all that fit refused; says why for each, and how long was waited.
            OctaBudgetError: the balance or a cap does not allow it.
            OctaCancelledError: `is_cancelled` said yes, and nothing runs; or `leaving` did.
            OctaStartUnclearError: an answer was lost, and what it may have left can't be told from somebody else's.
            OctaError: the API could not be reached, or refused the key. Should a machine have been left, it says so.
        """
        settle_s, deadline_s = checked_seconds("settle_s", settle_s), checked_seconds("deadline_s", deadline_s)
        wait_for_machine_s = checked_seconds("wait_for_machine_s", wait_for_machine_s)
        machine_poll_s = checked_pause("machine_poll_s", machine_poll_s)
        max_cost_usd = checked_cap("max_cost_usd", max_cost_usd)
        max_duration_s = checked_cap("max_duration_s", max_duration_s)
        requirements = requirements or Requirements()
        whole = self.full_key(key)
        mark = fingerprint_of(request) if fingerprint is None else fingerprint

        replaced = Replaced(() if isinstance(request, VpnRequest) else tried_in(request.envs))
        labels = {} if isinstance(request, VpnRequest) else dict(request.labels)

        def rental(started: Started) -> Rental:
            known = rental_of(
                self._api, started.uuid, whole, started.session, service=request.service, machine=started.machine
            )
            before = all_before(known.tried, replaced.machines)
            return msgspec.structs.replace(
                known,
                adopted=started.adopted,
                claim=started.claim,
                tried=before if on_replaced is None else known.tried,
                max_cost_usd=cap_left(max_cost_usd, before),
                max_duration_s=max_duration_s,
                max_price_usd=requirements.max_price_usd,
                known_from=known.known_from if started.adopted and known.known_from else self._api.clock.steady_time(),
                labels=known.labels if started.adopted else labels,
            )

        new_try = partial(
            StartTry,
            api=self._api,
            request=request,
            key=whole,
            requirements=requirements,
            settle_s=settle_s,
            deadline_s=deadline_s,
            max_cost_usd=max_cost_usd,
            max_duration_s=max_duration_s,
            fingerprint=mark,
            attempt=attempt,
            is_wanted=is_wanted or (lambda session: is_marked(session, mark)),
            on_started=None if on_started is None else lambda started: on_started(rental(started)),
            is_cancelled=is_cancelled,
            leaving=leaving,
            # What one try of a wait has stopped, the next one takes the place of.
            replaces=set(replaces),
            replaced=replaced,
        )
        if wait_for_machine_s:
            started = start_waiting(new_try, wait_s=wait_for_machine_s, poll_s=machine_poll_s, on_waiting=on_waiting)
        else:
            started = start_once(new_try())
        if on_replaced is not None:
            for one in replaced.machines:
                on_replaced(one)
        return rental(started)

    def full_key(self, key: str) -> str:
        """A key with the client's namespace in front; one that begins with it stays as it is.

        Raises:
            OctaConfigError: it can't be a rental key.
        """
        return with_namespace(key, self._api.namespace)

    def rent(
        self,
        request: Request,
        *,
        key: str,
        requirements: Requirements | None = None,
        ready_timeout_s: float | None = None,
        start_attempts: int = 1,
        poll_s: float = 5.0,
        stop_deadline_s: float = 300.0,
        on_ready: Callable[[Rental, Session], object] | None = None,
        on_stopped: Callable[[Bill], object] | None = None,
        **options: Any,
    ) -> AbstractContextManager[Rental]:
        """A rental for the length of a `with` block: it is stopped on every way out, signals included.

        Those that ask a process to end: SIGTERM, SIGINT, SIGHUP (the terminal was closed), SIGQUIT, and the like. One
        that is ignored stays ignored, and a handler of the program's own is called as ever.

        Args:
            request: what to rent.
            key: the rental key; the client's namespace is put in front.
            requirements: which machine; the cheapest one when left out.
            ready_timeout_s: seconds that a machine may take to come up; the block begins when it is up. When left out,
                it begins at once.
            start_attempts: how many machines are tried, one after the other, when one does not come up in that time or
                says that it failed: 1 to 10. Each is seen gone before the next is started, none is taken twice, and
                what each has cost is taken off `max_cost_usd` (`Rental.tried`).
            poll_s: seconds between two looks while it comes up.
            stop_deadline_s: seconds to try to stop for.
            on_ready: called with the rental and its session, with its addresses, before the block begins.
            on_stopped: called with the bill once a session has been seen gone, on whichever way out; with
                `start_attempts`, for each.
            options: further arguments of `start`.

        Raises:
            OctaConfigError: so many machines can't be tried, or nothing says how long one may take.
            OctaWaitTimeoutError, OctaSessionFailedError: none came up, or the session has gone; nothing of it runs.
        """
        return rented(
            self,
            request,
            coming_up=coming_up_of(ready_timeout_s, start_attempts, poll_s),
            requirements=requirements,
            stop_deadline_s=stop_deadline_s,
            on_ready=on_ready,
            on_stopped=on_stopped,
            on_started=options.pop("on_started", None),
            options={"key": key, **options},
        )

    def start_ready(
        self,
        request: Request,
        *,
        key: str,
        requirements: Requirements | None = None,
        ready_timeout_s: float = 900.0,
        start_attempts: int = 1,
        poll_s: float = 5.0,
        on_stopped: Callable[[Bill], object] | None = None,
        **options: Any,
    ) -> tuple[Rental, Session]:
        """Start, and wait until it can be used; on every way out but that, signals included, nothing of it runs.

        Args:
            request, key, requirements, ready_timeout_s, start_attempts, poll_s: as in `rent`.
            on_stopped: called with the bill of each that did not come up, once it has been seen gone.
            options: further arguments of `start`.

        Returns:
            The rental, which is the caller's to stop, and its session, with its addresses.

        Raises:
            OctaError: as `rent`.
        """
        ready: list[tuple[Rental, Session]] = []
        with rented(
            self,
            request,
            coming_up=coming_up_of(ready_timeout_s, start_attempts, poll_s),
            requirements=requirements,
            stops_at_end=False,
            stop_deadline_s=STOP_DEADLINE_S,
            on_ready=lambda rental, session: ready.append((rental, session)),
            on_stopped=on_stopped,
            on_started=options.pop("on_started", None),
            options={"key": key, **options},
        ):
            return ready[0]
