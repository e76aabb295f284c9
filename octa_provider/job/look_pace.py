"""When one job is worth a look, told by the watcher that all of an account share.

A look is made when the shared list says that the session has come on, or that a cap is reached; otherwise when the
job's own pause is over and there is a turn to read its log. What somebody else tells of its end, the machine itself for
one, is worth one at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from octa_provider.errors import OctaSessionFailedError, OctaWaitTimeoutError
from octa_provider.job.pacing import look_pause_s
from octa_provider.job.state import JobPhase, JobState
from octa_provider.models import SessionPhase
from octa_provider.rental.caps import over_budget
from octa_provider.timing.deadline import Deadline
from octa_provider.watch.log_reads import READS_A_LOOK
from octa_provider.watch.watcher import ASKED_EVERY_S

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.timing.clock import Clock
    from octa_provider.watch.watcher import Watcher

__all__ = ["LookPace"]

#: The list is asked once in an interval; a look is due this much after it should have told, when it tells nothing.
OUTAGE_S = 30.0
#: A log of more is read less often while nothing comes: all of it arrives each time.
SMALL_LOG_BYTES = 256 * 1024


class LookPace:
    """The pace of looks at one job, for as long as somebody follows it.

    Args:
        watcher: the account's.
        clock: the client's.
        poll_s: seconds between two looks, at least.
        asked_every_s: seconds between two times that a wait in a thread asks whether the job was cancelled.

    Attributes:
        reads_log: whether the look that is due may read the log; see `Jobs.poll`.
    """

    def __init__(self, watcher: Watcher, clock: Clock, poll_s: float, *, asked_every_s: float = ASKED_EVERY_S) -> None:
        self.reads_log = True
        self._asked_every_s = asked_every_s
        self._watcher = watcher
        self._clock = clock
        self._poll_s = poll_s
        self._seen: int | None = None
        self._heard_at: float | None = None
        self._hurried_by: set[str] = set()
        self._is_woken = False
        self._has_looked = False
        self._is_due_now: Callable[[Session], bool] | None = None
        self._told_at = self._due_at = clock.monotonic()
        #: Since when its log is due to be read, where there was no turn for it.
        self._log_due_at: float | None = None

    def hurry(self, by: str = "the machine") -> None:
        """Something else tells that the command has ended, or is about to: it is looked at without waiting for a turn.

        Looks come as close then as those at a command that speaks, and grow rarer if it runs on all the same. May be
        called from any thread.

        Args:
            by: who tells. Each is believed once: a machine that says it all the time has no more looks for that.
        """
        if by not in self._hurried_by:
            self._hurried_by.add(by)
            self._heard_at = self._due_at = self._clock.monotonic()
            self._is_woken = True
            if self._is_due_now is not None:
                self._watcher.give_up(self._is_due_now)

    async def until_due(self, state: JobState) -> Session | None:
        """Wait until the job is worth a look.

        Args:
            state: the job, as it was at the last look.

        Returns:
            The session as the list has just shown it, for `Jobs.poll`; None when the look has to ask itself: the list
            told nothing of it for a while, or its machine is up and its command could not be begun yet, which is tried
            again after each look.

        Raises:
            OctaAuthenticationError, OctaForbiddenError: the key was refused.
        """
        if state.phase is JobPhase.READY:
            await asyncio.sleep(self._ready_pause_s())
            return None
        is_due = self._begin(state)
        with suppress(OctaSessionFailedError):
            while self._silent_in_s > 0 and not self._is_woken:
                with suppress(OctaWaitTimeoutError):
                    session = await self._watcher.wait_async(state.rental.uuid, is_due, self._silent_in_s)
                    if not self._is_woken:
                        return session
        self._woken_or_silent()
        return None

    def wait_until_due(self, state: JobState, is_cancelled: Callable[[], bool]) -> Session | None:
        """As `until_due`, for a thread.

        Args:
            state: the job, as it was at the last look.
            is_cancelled: asked again and again; when it says yes the wait ends.
        """
        if state.phase is JobPhase.READY:
            pause = Deadline(self._clock, self._ready_pause_s())
            while not pause.passed and not is_cancelled():
                pause.pause(self._asked_every_s)
            return None
        is_due = self._begin(state)

        def is_over() -> bool:
            # Whoever wakes it may do so before it waits.
            return self._is_woken or is_cancelled()

        with suppress(OctaSessionFailedError):
            while self._silent_in_s > 0 and not is_over():
                with suppress(OctaWaitTimeoutError):
                    session = self._watcher.wait(
                        state.rental.uuid, is_due, self._silent_in_s, is_over, self._asked_every_s
                    )
                    if not self._is_woken:
                        return session
        self._woken_or_silent()
        return None

    def _ready_pause_s(self) -> float:
        # Of jobs that came up together not all come again together.
        self.reads_log = True
        return self._poll_s * random.uniform(0.9, 1.1)

    def _woken_or_silent(self) -> None:
        """The look that comes now asks for the session itself, also where the list told of it in the same moment."""
        self.reads_log, self._is_woken = True, False

    def _begin(self, state: JobState) -> Callable[[Session], bool]:
        """What is asked at each look at the list, from now on until the job is worth a look."""
        self._told_at = self._clock.monotonic()
        self._listen(state)
        self._due_at = self._told_at + self._pause_s(state)
        if state.over_ssh and state.phase is JobPhase.RUNNING and not self._has_looked:
            # From the first look on, the machine itself tells the end of a command over SSH.
            self._due_at = self._told_at
        self._has_looked = True

        def is_due(session: Session) -> bool:
            self._told_at = self._clock.monotonic()
            return self._is_due(state, session)

        self._is_due_now = is_due
        return is_due

    @property
    def _silent_in_s(self) -> float:
        """Seconds until the list has told nothing of it for too long; a turn may be long in coming all the same."""
        silent_at = max(self._due_at, self._told_at) + OUTAGE_S + self._poll_s
        return max(0.0, silent_at - self._clock.monotonic())

    def _listen(self, state: JobState) -> None:
        """Note whether the last look has brought anything of what the command prints."""
        seen = None if state.log is None else state.log.seen
        if self._seen is not None and seen != self._seen:
            self._heard_at = self._clock.monotonic()
        self._seen = seen

    def _pause_s(self, state: JobState) -> float:
        quiet_s = None if self._heard_at is None else max(0.0, self._clock.monotonic() - self._heard_at)
        if self._is_read_for_little(state):
            quiet_s = 0.0
        return look_pause_s(state, self._clock.steady_time(), self._poll_s, quiet_s)

    def _is_read_for_little(self, state: JobState) -> bool:
        """Whether a quiet job may be read at each look all the same, so that its end bills no longer than that."""
        if state.over_ssh:
            # It tells its end itself.
            return False
        seen = 0 if state.log is None else state.log.seen
        return self._watcher.waiting < READS_A_LOOK and seen <= SMALL_LOG_BYTES

    def _is_due(self, state: JobState, session: Session) -> bool:
        """In the watcher's thread: whether a look is due now, and may read the log."""
        self.reads_log = True
        # A cap that is reached is seen in the list, so that it need not wait for the next look.
        if over_budget(state.rental, session, self._clock) is not None:
            return True
        if state.phase is JobPhase.STARTING and session.phase is not SessionPhase.STARTING:
            return True
        # The list comes at intervals too, of which a look that is due a moment later would take one more.
        if self._clock.monotonic() < self._due_at - self._poll_s / 2:
            return False
        if state.phase is not JobPhase.RUNNING or self._hurried_by or self._is_late(state):
            return True
        if state.over_ssh and (state.log is None or state.log.of_file):
            # Its end is told over SSH, and its log read there, which asks the API nothing.
            self.reads_log = False
            return True
        log_due_at = self._due_at if self._log_due_at is None else self._log_due_at
        may_read = self._watcher.log_reads.ask(state.rental.uuid, log_due_at)
        self._log_due_at = None if may_read else log_due_at
        if state.over_ssh:
            self.reads_log = may_read
            return True
        return may_read

    def _is_late(self, state: JobState) -> bool:
        return state.end_by is not None and self._clock.steady_time() >= state.end_by
