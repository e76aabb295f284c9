"""Asking again through outages, until a deadline: what every wait of a rental is built on."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from octa_provider.clock import Clock
from octa_provider.errors import OctaApiError, OctaDecodeError, OctaError, OctaNetworkError
from octa_provider.retry import RETRIED_STATUS

log = logging.getLogger("octa_provider.patience")

T = TypeVar("T")
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0


class Deadline:
    """A moment on a clock.

    Args:
        clock: where the time comes from.
        seconds: from now.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until the moment; negative when it has passed."""
        return self._at - self._clock.monotonic()

    @property
    def passed(self) -> bool:
        """True from the moment on."""
        return self.left_s <= 0

    def earlier(self, seconds: float) -> Deadline:
        """This deadline, or one `seconds` from now if that comes first."""
        return Deadline(self._clock, min(seconds, self.left_s))

    def pause(self, seconds: float) -> None:
        """Sleep for `seconds`, but not past the moment."""
        self._clock.sleep(max(0.0, min(seconds, self.left_s)))


def is_transient(error: BaseException) -> bool:
    """True when the same question may get an answer later: no connection, 429, 5xx, or an answer that is garbage."""
    if isinstance(error, OctaApiError):
        return error.status in RETRIED_STATUS
    return isinstance(error, (OctaNetworkError, OctaDecodeError))


def pauses() -> Callable[[OctaError | None], float]:
    """How long to wait before asking again: growing, jittered, and not less than the server asked for."""
    step = FIRST_PAUSE_S

    def pause(error: OctaError | None) -> float:
        nonlocal step
        asked = getattr(error, "retry_after", None) or 0.0
        wait = max(asked, random.uniform(step / 2, step))
        step = min(step * 2, LONGEST_PAUSE_S)
        return float(wait)

    return pause


def ask_until(deadline: Deadline, question: Callable[[], T]) -> T:
    """The answer to `question`, asked again through transient errors; at the deadline the last one is raised."""
    pause = pauses()
    while True:
        try:
            return question()
        except OctaError as error:
            if not is_transient(error) or deadline.passed:
                raise
            wait = pause(error)
            log.info("%s; asking again in %.1f s", error, wait)
            deadline.pause(wait)
