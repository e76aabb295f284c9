"""Somebody who waits for a session, and whether what was seen is what they wait for."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

from octa_provider.errors import OctaSessionFailedError, OctaWaitTimeoutError
from octa_provider.models import Session, SessionPhase

__all__ = ["Waiter"]


@dataclass(frozen=True, eq=False, slots=True)
class Waiter:
    """Somebody who waits for a session.

    Attributes:
        uuid: the session.
        predicate: whether the session is as it is wanted.
        deadline_s: seconds that they wait.
        deadline_at: when that is over, on the clock.
        tell: called with how the wait ends, from any thread, and more than once: the first time counts.
        asked_every_s: seconds between two times that they look up whether they still wait.
    """

    uuid: str
    predicate: Callable[[Session], object]
    deadline_s: float
    deadline_at: float
    tell: Callable[[Session | BaseException], None]
    asked_every_s: float = math.inf

    @property
    def too_late(self) -> OctaWaitTimeoutError:
        """The error for a wait that was too long."""
        return OctaWaitTimeoutError(
            f"session {self.uuid} was not as wanted within {self.deadline_s:g} s; it runs on", uuid=self.uuid
        )

    def outcome_of(self, seen: Session | OctaSessionFailedError) -> Session | BaseException | None:
        """How the wait ends with what was seen; None when it goes on.

        Args:
            seen: the session, or why there is none.
        """
        if isinstance(seen, OctaSessionFailedError):
            return copy.copy(seen)
        if seen.phase is SessionPhase.FINISHED:
            return seen
        try:
            return seen if self.predicate(seen) else None
        except BaseException as error:  # noqa: BLE001 - it is the waiter's, and raised there
            return error
