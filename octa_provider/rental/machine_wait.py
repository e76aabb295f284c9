"""Waiting for a machine: a start that found none is tried again when one is on offer, until the wait is over.

Each try is a whole start of its own: it looks first for a session of its key, and one that fails leaves nothing. So a
wait rents no more often than a caller who asks again himself. Between two tries only shared answers are looked at.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from octa_provider.errors import OctaError, OctaNoMachineError
from octa_provider.rental.market_look import machines_that_fit, sessions_seen
from octa_provider.rental.start import start_once
from octa_provider.rental.under_key import UnderKey
from octa_provider.text.loggers import plain_logger
from octa_provider.text.quantities import shown_duration
from octa_provider.timing.asking import asked_pause, is_transient
from octa_provider.timing.backoff import pause_s
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.outage import outages

if TYPE_CHECKING:
    from octa_provider.rental.start_try import StartTry
    from octa_provider.rental.started import Started

__all__ = ["MACHINE_POLL_S", "machine_poll_s", "start_waiting", "too_late"]

log = plain_logger("octa_provider.rental.machine_wait")

#: Machines come and go by the minute; who waits an hour need not be there within the second.
MACHINE_POLL_S = 15.0
#: A pause asks so often whether the wait was cancelled.
SLICE_S = 0.5
#: The first pause is longer than the interval, by another part of it for each wait: of fifty that began together not
#: all ask the one machine that comes up in the same moment.
FIRST_PAUSE = (1.0, 1.5)


def machine_poll_s(wait_s: float, poll_s: float = MACHINE_POLL_S) -> float:
    """Seconds between two looks of a wait, at least.

    Args:
        wait_s: seconds that the wait may take.
        poll_s: what is asked for.
    """
    return min(poll_s, wait_s / 2)


class NewTry(Protocol):
    """Makes a try to start, whose time runs from now."""

    def __call__(self, *, catalogue_age_s: float, asks_again: bool = True) -> StartTry:
        """The try.

        Args:
            catalogue_age_s, asks_again: as in `StartTry`.
        """


def start_waiting(
    new_try: NewTry, *, wait_s: float, poll_s: float, on_waiting: Callable[[str], object] | None = None
) -> Started:
    """Start a session under a key exactly once, and wait for a machine while there is none.

    Args:
        new_try: makes each try.
        wait_s: seconds to wait, from the first look.
        poll_s: seconds between two looks, at least; half the wait where that is less.
        on_waiting: told that it waits and why, and that it goes on; the log when left out.

    Raises:
        OctaNoMachineError: the wait is over; it says how long it was.
        OctaError: as `Rentals.start` says.
    """
    # Of a short wait too more than the first look sees what is on offer then.
    poll_s = machine_poll_s(wait_s, poll_s)
    first = new_try(catalogue_age_s=poll_s)
    clock = first.api.clock
    until = Deadline(clock, wait_s)
    try:
        return start_once(first)
    except OctaNoMachineError as error:
        last = error
    _tell(on_waiting, f"{first.key} waits up to {shown_duration(wait_s)} for a machine: {last}")
    pause, failures = poll_s * random.uniform(*FIRST_PAUSE), 0
    away: OctaError | None = None
    while True:
        _pause(first, until.earlier(pause))
        pause = pause_s(poll_s, 0, None, random.random())
        start = new_try(catalogue_age_s=poll_s, asks_again=False)
        try:
            why_not = _why_no_try(start)
            if why_not is None:
                started = start_once(start)
                waited = shown_duration(wait_s - until.left_s)
                _tell(on_waiting, f"{first.key} waited {waited} for a machine and has session {started.uuid}")
                return started
            last, away, failures = why_not, None, 0
        except OctaNoMachineError as error:
            last, away, failures = error, None, 0
        except OctaError as error:
            first.refuse_cancelled()
            if start.has_asked or not is_transient(error):
                raise
            outages.failed(error, clock, f"{first.key} waits for a machine")
            away, failures = error, failures + 1
            pause = pause_s(poll_s, failures, asked_pause(error), random.random())
        if until.passed:
            raise too_late(last, wait_s - until.left_s, away)


def _tell(on_waiting: Callable[[str], object] | None, text: str) -> None:
    if on_waiting is None:
        log.info("%s", text)
        return
    try:
        on_waiting(text)
    except Exception:
        # A machine may be rented: it must not be lost for want of a line.
        log.exception("on_waiting failed")


def _pause(start: StartTry, pause: Deadline) -> None:
    start.refuse_cancelled()
    while not pause.passed:
        pause.pause(SLICE_S)
        start.refuse_cancelled()


def _why_no_try(start: StartTry) -> OctaNoMachineError | None:
    """Why a try would find nothing, by what all that wait share; None when it is worth it."""
    octa = start.api.within(start.deadline, start.is_unwanted)
    age_s, cancelled = start.catalogue_age_s, start.is_unwanted
    sessions = sessions_seen(octa, max_age_s=age_s, is_cancelled=cancelled)
    if UnderKey(start).mine(sessions):
        # Another try of the key was quicker: its session is adopted.
        return None
    try:
        fitting = machines_that_fit(
            octa,
            start.request.service,
            start.requirements,
            max_cost_usd=start.cap_usd,
            max_age_s=age_s,
            is_cancelled=cancelled,
        )
    except OctaNoMachineError as error:
        return error
    now = start.api.clock.monotonic()
    if any(start.nodes.is_worth_asking(machine.node_id, now) for machine in fitting):
        return None
    return OctaNoMachineError(f"no machine has room: {len(fitting)} that fit have just refused")


def too_late(last: OctaNoMachineError, waited_s: float, away: OctaError | None = None) -> OctaNoMachineError:
    """The error for a wait that is over.

    Args:
        last: why nothing was rented when it was last tried; it is this error that is given back.
        waited_s: seconds that were waited.
        away: what kept the API from answering when it was last asked, if that is so.
    """
    told = f"Waited {shown_duration(waited_s)} for one (wait_for_machine_s)"
    if away is not None:
        told += f"; the API did not answer when it was last asked: {away}"
    last.also(told)
    last.waited_s = waited_s
    return last
