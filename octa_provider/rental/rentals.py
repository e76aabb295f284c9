"""Rentals: sessions that are started exactly once, waited for, and stopped for certain.

A rental is known by its key, which names the work. Whoever starts a key that already has a session gets that session.
VPN sessions carry no environment and so no key: they are known by what was written down (`rental/intents.py`), and what
a lost answer may have left is told, never taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.market.request import Request, VpnRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.clean_up import cleaned_up_by
from octa_provider.rental.key import with_namespace
from octa_provider.rental.leaving import Leaving
from octa_provider.rental.machine_wait import MACHINE_POLL_S, start_waiting
from octa_provider.rental.mark import RentalMark, fingerprint_of
from octa_provider.rental.of_key import forget_claims, session_of_key, stop_key
from octa_provider.rental.reap import Reaped, reap
from octa_provider.rental.rental import Rental, rental_of
from octa_provider.rental.running import OwnedSession, Running, of_uuid, running
from octa_provider.rental.start import start_once
from octa_provider.rental.start_try import StartTry
from octa_provider.rental.stop import STOP_S
from octa_provider.rental.terms import Bill, Terms
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.clock import Clock
from octa_provider.timing.limits import checked_cap, checked_pause, checked_seconds, usable_seconds

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.started import Started

log = plain_logger("octa_provider.rental.rentals")


class Rentals:
    """`client.rentals`: one piece of work never rents twice and never leaves a machine billing."""

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

        labels = {} if isinstance(request, VpnRequest) else dict(request.labels)

        def rental(started: Started) -> Rental:
            found = rental_of(
                self._api, started.uuid, whole, started.session, service=request.service, machine=started.machine
            )
            return msgspec.structs.replace(
                found,
                adopted=started.adopted,
                claim=started.claim,
                max_cost_usd=max_cost_usd,
                max_duration_s=max_duration_s,
                max_price_usd=requirements.max_price_usd,
                known_from=self._api.clock.steady_time(),
                labels=found.labels if started.adopted else labels,
            )

        def has_same_fingerprint(session: Session) -> bool:
            # One without a mark was started by an earlier release, which knew no fingerprints.
            known = RentalMark.of(session)
            return known is None or known.fingerprint == mark

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
            is_wanted=is_wanted or has_same_fingerprint,
            on_started=None if on_started is None else lambda started: on_started(rental(started)),
            is_cancelled=is_cancelled,
            leaving=leaving,
        )
        if not wait_for_machine_s:
            return rental(start_once(new_try(replaces=set(replaces))))
        return rental(
            start_waiting(
                partial(new_try, replaces=set(replaces)),
                wait_s=wait_for_machine_s,
                poll_s=machine_poll_s,
                on_waiting=on_waiting,
            )
        )

    def full_key(self, key: str) -> str:
        """A key with the client's namespace in front; one that begins with it stays as it is.

        Raises:
            OctaConfigError: it can't be a rental key.
        """
        return with_namespace(key, self._api.namespace)

    def find(self, key: str) -> Rental | None:
        """The rental of a key, if it has an active session; the oldest one when it has several."""
        whole = self.full_key(key)
        found = session_of_key(self._api, whole)
        if found is None:
            return None
        session, claim = found
        rental = rental_of(self._api, session.uuid, session.rental_key or whole, session)
        return msgspec.structs.replace(rental, adopted=True, claim=claim)

    def running(self, *, max_age_s: float = 0.0) -> Running:
        """What the account has running, each with whose it is and what it has cost; those of others too.

        Args:
            max_age_s: how old the list may be, in seconds; all that ask in this process share one request in that time.
                0 asks now.

        Raises:
            OctaError: the API can't be reached, or refused the key.
        """
        return running(self._api, max_age_s=checked_seconds("max_age_s", max_age_s))

    def look_up(self, uuid: str) -> OwnedSession | None:
        """A session of the account that runs, or ended lately, with whose it is; None for any other.

        Args:
            uuid: the session.

        Raises:
            OctaError: the API can't be reached, or refused the key.
        """
        return of_uuid(self._api, uuid)

    def open(self, uuid: str, key: str | None = None) -> Rental:
        """A handle on a session by its uuid; no request is made.

        Args:
            uuid: the session.
            key: its rental key, with or without the namespace, where it is known.
        """
        return Rental(uuid=uuid, key=None if key is None else self.full_key(key), _api=self._api)

    def restore(self, state: Terms | Mapping[str, Any], *, to_stop: bool = False) -> Rental:
        """A handle from what `Rental.to_dict` returned, or from its terms; no request is made.

        Args:
            state: as `Rental.to_dict` gave it, perhaps in another process, or the terms themselves.
            to_stop: for a stop, which nothing may keep from happening: of a state that is damaged its uuid, and its key
                if it has one, are enough.

        Raises:
            OctaConfigError: it is not the state of a rental.
        """
        if isinstance(state, Terms):
            return Rental.of(state, self._api)
        try:
            return Rental.of(Terms.from_dict(state), self._api)
        except OctaConfigError as error:
            if not to_stop:
                raise
            needed = {name: state[name] for name in ("uuid", "key", "claim") if isinstance(state.get(name), str)}
            terms = Terms.from_dict(needed)
            log.warning("session %s is stopped by what can be read of its state: %s", terms.uuid, error)
            return Rental.of(terms, self._api)

    def stop(self, key: str, *, deadline_s: float = 300.0, leaves_kept: bool = False) -> tuple[Bill, ...]:
        """Stop every active session of a key; returns when they have been seen gone. No session is fine too.

        Args:
            key: the rental key, with or without the client's namespace. Without it, what an earlier release started
                under the key as it stands is stopped too.
            deadline_s: seconds to try for.
            leaves_kept: leave the sessions whose command failed, and that are kept for a look (`keep_failed_s`).

        Raises:
            OctaStopError: some were still running, or not seen gone, when the deadline passed.
            OctaStartUnclearError: what a lost request of the key has left can't be told from somebody else's; what
                tells the key was stopped.
        """
        whole = self.full_key(key)
        ended = stop_key(
            self._api, whole, bare_key=None if key == whole else key, deadline_s=deadline_s, leaves_kept=leaves_kept
        )
        return tuple(rental_of(self._api, uuid, whole, session).bill(session) for uuid, session in ended.items())

    def stop_only(
        self, uuid: str, *, key: str | None = None, score: int | None = None, deadline_s: float = 300.0
    ) -> Bill:
        """Stop one session and no other of its key; returns when it has been seen gone.

        What was written down of it, where it tells no key itself, as a VPN, is forgotten then.

        Args:
            uuid: the session.
            key: its rental key, whole, where it is known from what was written down; asked for when left out.
            score: what the machine was worth, 1 to 5.
            deadline_s: seconds to try for.

        Raises:
            OctaStopError: still running, or not seen gone, when the deadline passed. It bills until it is stopped.
        """
        bill = self.open(uuid).stop(score=score, deadline_s=deadline_s)
        forget_claims(self._api, uuid, key)
        return bill

    @contextmanager
    def rent(
        self,
        request: Request,
        *,
        key: str,
        requirements: Requirements | None = None,
        stop_deadline_s: float = 300.0,
        on_stopped: Callable[[Bill], object] | None = None,
        **options: Any,
    ) -> Iterator[Rental]:
        """A rental for the length of a `with` block: it is stopped on every way out, signals included.

        Those that ask a process to end: SIGTERM, SIGINT, SIGHUP (the terminal was closed), SIGQUIT, and the like. One
        that is ignored stays ignored, and a handler of the program's own is called as ever.

        Args:
            request: what to rent.
            key: the rental key; the client's namespace is put in front.
            requirements: which machine; the cheapest one when left out.
            stop_deadline_s: seconds to try to stop for.
            on_stopped: called with the bill once the session has been seen gone, on whichever way out.
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
            bill: Bill | None = None
            if error is None:
                bill = rental.stop(deadline_s=stop_deadline_s)
            elif returned or not isinstance(error, OctaError):
                # A start that failed has cleaned up after itself; a signal may have come after that.
                bill = rental.stop_after(error, deadline_s=stop_deadline_s)
            if bill is not None and on_stopped is not None:
                on_stopped(bill)

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
            self._api,
            prefix=prefix,
            older_than_s=checked_seconds("older_than_s", older_than_s),
            max_age_s=None if max_age_s is None else checked_seconds("max_age_s", max_age_s),
            is_alive=is_alive,
            any_namespace=any_namespace,
            dry_run=dry_run,
            deadline_s=usable_seconds("deadline_s", deadline_s, STOP_S),
        )
