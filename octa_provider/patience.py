"""Asking again through outages, until a deadline: what every wait of a rental is built on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TypeVar

from octa_provider.clock import Clock
from octa_provider.errors import OctaApiError, OctaConfigError, OctaDecodeError, OctaError, OctaNetworkError
from octa_provider.outage import outages
from octa_provider.retry import RETRIED_STATUS

T = TypeVar("T")
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
#: With a last pause on top it makes the quarter of a minute that a host which refuses connections is asked for.
SHORT_S = 12.0


class Deadline:
    """A moment on a clock.

    Args:
        clock: where the time comes from.
        seconds: from now.

    Raises:
        OctaConfigError: it is NaN, which never passes.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        if math.isnan(seconds):
            raise OctaConfigError("a deadline must be a number of seconds, not nan")
        self._clock = clock
        self._at = clock.monotonic() + seconds

    @property
    def clock(self) -> Clock:
        """Where its time comes from."""
        return self._clock

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
    """True when the same question may get an answer later: no connection, 429, 5xx, or an answer that is garbage.

    Not so a connection that can never be (`OctaNetworkError.final`).
    """
    if isinstance(error, OctaApiError):
        return error.status in RETRIED_STATUS
    if isinstance(error, OctaNetworkError):
        return not error.final
    return isinstance(error, OctaDecodeError)


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


def _is_out_of_reach(error: OctaError) -> bool:
    return isinstance(error, OctaNetworkError) and error.unreached_s is not None and error.unreached_s >= SHORT_S


def ask_until(deadline: Deadline, question: Callable[[], T], waiting: str = "") -> T:
    """The answer to `question`, asked again through transient errors; at the deadline the last one is raised.

    A host that has never answered, and refuses connections, is asked for about a quarter of a minute in all: it may be
    about to start, but more likely the URL is wrong. This is for what begins with a question; whoever has a machine to
    look after waits for it until his own deadline.

    Args:
        deadline: until when. No pause goes past it, whatever the server asks for.
        question: what is asked.
        waiting: what waits for the answer, for the log.
    """
    pause = pauses()
    told: set[str] = set()
    while True:
        try:
            answer = question()
        except OctaError as error:
            if not is_transient(error) or _is_out_of_reach(error) or deadline.passed:
                raise
            told.add(outages.failed(error, deadline.clock, waiting))
            deadline.pause(pause(error))
        else:
            for about in told:
                outages.over(about, deadline.clock)
            return answer
