"""A start that has failed: another try of its key may have been quicker, and nothing of its own is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.errors import (
    OctaBudgetError,
    OctaCancelledError,
    OctaError,
    OctaNoMachineError,
    OctaStartUnclearError,
)
from octa_provider.models import SessionPhase
from octa_provider.rental.stop import stop_command, sweep
from octa_provider.rental.twins import oldest
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.start_try import StartTry
    from octa_provider.rental.started import Started
    from octa_provider.rental.under_key import UnderKey

__all__ = ["GivingUp"]

log = plain_logger("octa_provider.rental.giving_up")

#: A try that was refused everywhere looks so long for a session that another try of its key has just started.
SIBLING_S = 3.0


class GivingUp:
    """The end of a try that failed.

    Args:
        start: the try.
        under_key: the sessions of the key.
    """

    def __init__(self, start: StartTry, under_key: UnderKey) -> None:
        self._start = start
        self._under_key = under_key

    def adopted_after(self, error: BaseException) -> Started | None:
        """The session of another try of this key, which was quicker: it may be why everybody refused this one."""
        start = self._start
        if not isinstance(error, (OctaNoMachineError, OctaBudgetError)):
            return None
        seen_until = Deadline(start.api.clock, min(SIBLING_S, start.settle_s) if start.has_asked else 0.0)
        while True:
            last_look = seen_until.passed
            try:
                mine = [s for s in self._under_key.mine(start.listed()) if s.phase is not SessionPhase.STOPPING]
            except OctaError as problem:
                log.warning("whether another try has started %s can't be seen: %s", start.key, problem)
                return None
            keep = oldest(mine)
            if keep is not None and self._under_key.why_not(keep) is None:
                start.lost.settled()
                return self._under_key.adopt(mine)
            if last_look:
                return None
            seen_until.pause(0.5)

    def abandon(self, error: BaseException) -> None:
        """Leave nothing behind that this try has started; what can't be stopped now is named in the error.

        What another try of the key has started, or has taken up where this one leaves, stays, unless the key itself was
        cancelled.

        Args:
            error: what ended the try.
        """
        start = self._start
        if isinstance(error, OctaStartUnclearError):
            # Stopping would be guessing: the intent stays, for the next try.
            return
        try:
            if start.is_unclear:
                start.uuids += [session.uuid for session in self._look_once_more()]
            if isinstance(error, OctaCancelledError):
                if start.leaving is None or start.is_cancelled():
                    start.stop_key()
                else:
                    start.stop_own()
            elif start.uuids:
                sweep(start.api, uuids=start.uuids, key=None, deadline_s=start.clean_up_s)
            start.lost.settled()
        except OctaError as problem:
            if isinstance(problem, OctaStartUnclearError):
                told = problem.message
            else:
                left = stop_command(start.uuids, None if start.uuids else start.key)
                told = (
                    f"A machine of {start.key} may have been left and bill on. Run: {left} "
                    f"(not now, because: {problem})"
                )
            log.error("%s", told)
            if isinstance(error, OctaError):
                error.also(told)

    def _look_once_more(self) -> list[Session]:
        """What this try's own request, whose answer is not known, has left; an outage does not end the look."""
        start = self._start
        settled = Deadline(start.api.clock, start.settle_s)
        given_up = Deadline(start.api.clock, start.clean_up_s)
        octa = start.api.within(given_up)
        while True:
            last_look = settled.passed
            sessions = ask_until(given_up, octa.sessions.list)
            found = [s for s in sessions if s.rental_key == start.key and start.is_own(s)]
            if found or last_look:
                left = None if found else start.lost.left_for_certain(sessions)
                return found if left is None else [left]
            settled.pause(1.0)
