"""Waiting for many sessions with one list call per interval, from threads and from asyncio.

All that wait share one poller thread. It exists while somebody waits, asks for the list of active sessions, and tells
each waiter what it waits for. What an absence means is in `seen`; threads and event loops differ only in how they are
told.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from octa_provider.errors import OctaError
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import asked_pause, is_fatal
from octa_provider.timing.backoff import pause_s
from octa_provider.timing.clock import Clock
from octa_provider.timing.limits import checked_pause, checked_seconds
from octa_provider.timing.outage import outages
from octa_provider.timing.refusals import Refusals
from octa_provider.watch.log_reads import LogReads
from octa_provider.watch.seen import SeenSessions
from octa_provider.watch.shared import SharedByUsers
from octa_provider.watch.twin_stopping import TwinStopping
from octa_provider.watch.waiter import Waiter

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi

__all__ = ["Watcher", "watcher_for"]

log = plain_logger("octa_provider.watch.watcher")

#: A wait in a thread asks so often whether it was cancelled: orchestrators kill what does not end in 30 s.
ASKED_EVERY_S = 1.0
_MOMENT_S = 0.001


class Watcher:
    """Waits for sessions: one `GET /sessions` per interval, however many wait. Safe to share between threads and loops.

    Outages and 429 slow it down and end no wait; only a refused key (401, 403) ends them all, one that was taken before
    when it stays refused. A session that leaves
    the list is looked up once; the waiter gets it as it finished, whatever its predicate would say.

    Args:
        api: the API.
        poll_s: seconds between two list calls, at least.
        clock: where the time comes from; the client's when left out. Where its `sleep` is replaced it is used as it
            is, otherwise the poller's sleep ends when nobody waits any more.

    Attributes:
        poll_s: seconds between two list calls, at least.
        clock: where the time comes from.
        log_reads: gives those who follow jobs their turns to read a log.

    Example:
        >>> with watcher_for(client) as watcher:
        ...     session = watcher.wait(rental.uuid, lambda s: s.phase is SessionPhase.READY, deadline_s=900)
    """

    def __init__(self, api: RentalApi, poll_s: float = 5.0, clock: Clock | None = None) -> None:
        self.poll_s = checked_pause("poll_s", poll_s)
        self.clock = self._clock = clock or api.clock
        self._sleeps_for_real = type(self._clock).sleep is Clock.sleep
        self._nobody_yet()
        self._api = api
        self.log_reads = LogReads()
        self._seen = SeenSessions(api, self._clock)
        self._twins = TwinStopping(api)
        self._failures = 0
        self._refusals = Refusals(self._clock)
        self._poll_at = self._clock.monotonic()

    def _nobody_yet(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._waiters: dict[Waiter, None] = {}
        self._poller: threading.Thread | None = None
        self._nobody_waits = threading.Event()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiters)

    def wait(
        self,
        uuid: str,
        predicate: Callable[[Session], object],
        deadline_s: float,
        is_cancelled: Callable[[], bool] | None = None,
        asked_every_s: float = ASKED_EVERY_S,
    ) -> Session:
        """Wait until `predicate` says yes, or the session has finished.

        One wait for as long as it takes: one that ends and is begun again misses the list that comes in between, which
        is each of them where the API is slow.

        Args:
            uuid: the session.
            predicate: told the session at every look; runs in the poller's thread, so it must be quick. What it raises
                is raised here.
            deadline_s: seconds to wait for.
            is_cancelled: asked in this thread, again and again; when it says yes the wait ends as one that is too late.
            asked_every_s: seconds between two times that it is asked.

        Returns:
            The session: one that the predicate likes, or one with `phase` FINISHED.

        Raises:
            OctaWaitTimeoutError: too late, or `is_cancelled` said yes; the session runs on.
            OctaSessionFailedError: the session is gone and the API tells nothing of it.
            OctaAuthenticationError, OctaForbiddenError: the key was refused.
        """
        deadline_s = checked_seconds("deadline_s", deadline_s)
        told = threading.Event()
        outcomes: list[Session | BaseException] = []

        def tell(outcome: Session | BaseException) -> None:
            outcomes.append(outcome)
            told.set()

        if is_cancelled is None:
            asked_every_s = math.inf
        waiter = self._joined(uuid, predicate, deadline_s, tell, asked_every_s)
        try:
            # The poller may hang in a request; a deadline in real time does not wait for it.
            until = time.monotonic() + deadline_s if self._sleeps_for_real else math.inf
            # On another clock seconds pass in no time.
            longest_s = min(asked_every_s if self._sleeps_for_real else _MOMENT_S, threading.TIMEOUT_MAX)
            while (left_s := until - time.monotonic()) > 0 and not (is_cancelled is not None and is_cancelled()):
                if told.wait(min(left_s, longest_s)):
                    break
            outcome = outcomes[0] if outcomes else waiter.too_late
        finally:
            self._forget(waiter)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def wait_async(self, uuid: str, predicate: Callable[[Session], object], deadline_s: float) -> Session:
        """As `wait`, for a coroutine on any event loop. Requests are never made on the loop.

        The predicate runs in the poller's thread too. Cancelling the coroutine forgets the wait.

        Args:
            uuid: the session.
            predicate: told the session at every look; runs in the poller's thread, so it must be quick.
            deadline_s: seconds to wait for.
        """
        deadline_s = checked_seconds("deadline_s", deadline_s)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Session] = loop.create_future()

        def tell(outcome: Session | BaseException) -> None:
            # A loop that was closed has nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, outcome)

        waiter, timer = self._joined(uuid, predicate, deadline_s, tell), None
        try:
            if self._sleeps_for_real:
                timer = loop.call_later(deadline_s, _settle_too_late, future, waiter)
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            self._forget(waiter)

    def give_up(self, predicate: Callable[[Session], object]) -> None:
        """End the waits with this predicate now, as if they had been too long. From any thread.

        Args:
            predicate: the object that was given to `wait` or `wait_async`.
        """
        with self._lock:
            waiters = [waiter for waiter in self._waiters if waiter.predicate is predicate]
        for waiter in waiters:
            self._end(waiter, waiter.too_late)

    def _joined(
        self,
        uuid: str,
        predicate: Callable[[Session], object],
        deadline_s: float,
        tell: Callable[[Session | BaseException], None],
        asked_every_s: float = math.inf,
    ) -> Waiter:
        """One more who waits, until they are forgotten; the poller runs meanwhile. No `with`: that is 0.4 kB a wait."""
        if self._process != os.getpid():
            # A fork: those who wait, and the thread, are the parent's.
            self._nobody_yet()
        waiter = Waiter(uuid, predicate, deadline_s, self._clock.monotonic() + deadline_s, tell, asked_every_s)
        with self._lock:
            self._waiters[waiter] = None
            self._nobody_waits.clear()
            try:
                if self._poller is None or not self._poller.is_alive():
                    # An empty context: its log lines must not go to whoever happened to wait first.
                    run = contextvars.Context().run
                    self._poller = threading.Thread(target=run, args=(self._poll,), name="octa-watcher", daemon=True)
                    self._poller.start()
            except BaseException:
                self._poller = None
                del self._waiters[waiter]
                raise
        return waiter

    def _forget(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiters.pop(waiter, None)
            if not self._waiters:
                self._nobody_waits.set()

    # -- the poller ----------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        while True:
            with self._lock:
                waiters = list(self._waiters)
                if not waiters:
                    self._poller = None
                    return
            try:
                if self._clock.monotonic() >= self._poll_at:
                    self._look(waiters)
                self._expire(waiters)
                self._pause()
            except Exception:
                # Whatever is wrong here must not leave anybody waiting for ever, nor burn a core.
                log.exception("the watcher stumbled; it goes on")
                self._sleep(self.poll_s)

    def _look(self, waiters: list[Waiter]) -> None:
        """One list call, and everybody told what it means for them."""
        asked_s: float | None = None
        try:
            self._ask(waiters)
            self._failures = 0
            self._refusals.over()
        except Exception as error:
            slips = self._refusals.may_pass(error, key_was_accepted=self._api.transport.key_was_accepted)
            if is_fatal(error) and not slips:
                for waiter in waiters:
                    # Each its own: an error that many threads raise at once gathers all their tracebacks.
                    self._end(waiter, copy.copy(error))
                return
            self._failures += 1
            asked_s = asked_pause(error)
            if isinstance(error, OctaError):
                outages.failed(error, self._clock, f"{len(waiters)} sessions are watched")
            else:
                log.exception("watching %d sessions failed; trying again", len(waiters))
        finally:
            pause = pause_s(self.poll_s, self._failures, asked_s, random.random())
            self._poll_at = self._clock.monotonic() + pause

    def _ask(self, waiters: list[Waiter]) -> None:
        uuids = dict.fromkeys(waiter.uuid for waiter in waiters)
        for number, seen in enumerate(self._seen.ask(uuids.keys())):
            if number == 0:
                self.log_reads.next_look(self.poll_s)
            for waiter in waiters:
                if waiter.uuid in seen and (outcome := waiter.outcome_of(seen[waiter.uuid])) is not None:
                    self._end(waiter, outcome)
            twins, self._seen.twins = self._seen.twins, []
            self._twins.stop(twins)

    def _expire(self, waiters: list[Waiter]) -> None:
        now = self._clock.monotonic()
        for waiter in waiters:
            if now >= waiter.deadline_at:
                self._end(waiter, waiter.too_late)

    def _end(self, waiter: Waiter, outcome: Session | BaseException) -> None:
        self._forget(waiter)
        waiter.tell(outcome)

    def _pause(self) -> None:
        """Until the next look; on a clock that is not the system's, until the first of those who wait looks up."""
        until, now = self._poll_at, self._clock.monotonic()
        if not self._sleeps_for_real:
            with self._lock:
                until = min([until, *(min(one.deadline_at, now + one.asked_every_s) for one in self._waiters)])
        self._sleep(until - self._clock.monotonic())

    def _sleep(self, seconds: float) -> None:
        if self._nobody_waits.is_set() or seconds <= 0:
            return
        if self._sleeps_for_real:
            self._nobody_waits.wait(seconds)
        else:
            self._clock.sleep(seconds)


# Not within `wait_async`: of ten thousand waits each would keep its own.
def _settle(future: asyncio.Future[Session], outcome: Session | BaseException) -> None:
    if future.done():
        return
    if isinstance(outcome, StopIteration):
        # A future refuses this one.
        future.set_exception(RuntimeError("the predicate raised StopIteration"))
    elif isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _settle_too_late(future: asyncio.Future[Session], waiter: Waiter) -> None:
    _settle(future, waiter.too_late)


_shared: SharedByUsers[Watcher] = SharedByUsers()


@contextmanager
def watcher_for(api: RentalApi, poll_s: float = 5.0) -> Iterator[Watcher]:
    """The watcher that all users of an account in this process share, for the length of a `with` block.

    Accounts are told apart by base URL and key. The shortest interval that a user asks for is everybody's.

    Args:
        api: the API; the first user's client makes the requests for all.
        poll_s: seconds between two list calls, at least.
    """
    poll_s = checked_pause("poll_s", poll_s)
    with _shared.use(api.account, lambda: Watcher(api, poll_s)) as watcher:
        watcher.poll_s = min(watcher.poll_s, poll_s)
        yield watcher
