"""What the `on_request` and `on_response` hooks of the client are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from octa_provider.text.loggers import plain_logger

__all__ = ["RequestContext", "ResponseContext", "tell_hook"]

log = plain_logger("octa_provider.http.hooks")


@dataclass(frozen=True)
class RequestContext:
    """One attempt that is about to be made.

    Attributes:
        method: the HTTP method.
        url: the URL, without query and without secrets.
        attempt: 1 for the first try, 2 for the first retry.
    """

    method: str
    url: str
    attempt: int


@dataclass(frozen=True)
class ResponseContext:
    """One attempt that ended.

    Attributes:
        method: the HTTP method.
        url: the URL, without query and without secrets.
        attempt: 1 for the first try, 2 for the first retry.
        status: the HTTP status; None when no answer came.
        duration_s: seconds from sending to the last byte read.
        request_id: the `x-request-id` header (S).
        error: what went wrong, as text; None when nothing did.
    """

    method: str
    url: str
    attempt: int
    status: int | None
    duration_s: float
    request_id: str | None = None
    error: str | None = None


def tell_hook(hook: Callable[[Any], object], context: object) -> None:
    """Call a hook; what it raises is logged, and ends nothing.

    Args:
        hook: the user's.
        context: what it is told.
    """
    try:
        hook(context)
    except Exception:
        # A broken hook must not lose the answer to a POST that has just rented a machine.
        log.exception("a hook of the client failed on %r", context)
