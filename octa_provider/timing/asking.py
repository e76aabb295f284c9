"""Asking again through outages, until a deadline: what every wait of a rental is built on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from octa_provider.errors import (
    OctaApiError,
    OctaAuthenticationError,
    OctaConfigError,
    OctaDecodeError,
    OctaError,
    OctaForbiddenError,
    OctaNetworkError,
)
from octa_provider.timing.backoff import pauses
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.outage import outages

T = TypeVar("T")

#: With a last pause on top it makes the quarter of a minute that a host which refuses connections is asked for.
SHORT_S = 12.0
#: Statuses that another answer may follow.
RETRIED_STATUS = frozenset({429, *range(500, 600)})


def is_transient(error: BaseException) -> bool:
    """True when the same question may get an answer later: no connection, 429, 5xx, or an answer that is garbage.

    Not so a connection that can never be (`OctaNetworkError.final`).
    """
    if isinstance(error, OctaApiError):
        return error.status in RETRIED_STATUS
    if isinstance(error, OctaNetworkError):
        return not error.final
    return isinstance(error, OctaDecodeError)


def is_fatal(error: BaseException) -> bool:
    """True when waiting longer cannot help: the key is missing, wrong, or may not do this, or no connection can be."""
    if isinstance(error, OctaNetworkError):
        return error.final
    return isinstance(error, (OctaAuthenticationError, OctaForbiddenError, OctaConfigError))


def asked_pause(error: BaseException) -> float | None:
    """The seconds that a 429 asks for."""
    asked = getattr(error, "retry_after", None)
    return asked if isinstance(error, OctaError) and isinstance(asked, (int, float)) else None


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
