"""One attempt that failed: with which error, whether the same may succeed later, how long the server asked to wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octa_provider.errors import OctaApiError, OctaError, OctaNetworkError
from octa_provider.http.api_error import api_error
from octa_provider.http.retry import FullJitterRetry
from octa_provider.timing.asking import RETRIED_STATUS

if TYPE_CHECKING:
    from octa_provider.http.answers import Arrived

__all__ = ["Failure", "failed_answer", "may_pass"]


@dataclass(frozen=True)
class Failure:
    """One attempt that failed.

    Attributes:
        error: why.
        asked_s: seconds that the server asked to wait, if it did.
    """

    error: OctaError
    asked_s: float | None = None


def failed_answer(arrived: Arrived, body: str, *, max_retry_after_s: float, masked: Callable[[str], str]) -> Failure:
    """The failure that a non-2xx answer is.

    Args:
        arrived: the answer.
        body: what is in it, without secrets; empty when it broke off.
        max_retry_after_s: the longest wait in seconds that a server may ask for.
        masked: takes the key out of a text.
    """
    headers = arrived.response.headers
    asked_s = FullJitterRetry.for_reads(0, max_retry_after_s).seconds_asked(headers.get("Retry-After"))
    request_id = headers.get("x-request-id")
    error = api_error(
        arrived.status,
        method=arrived.method,
        url=arrived.url,
        body=body,
        request_id=masked(request_id) if request_id else None,
        retry_after=asked_s,
    )
    return Failure(error, asked_s)


def may_pass(error: OctaError) -> bool:
    """Whether the same GET may not meet this error again."""
    if isinstance(error, OctaNetworkError):
        return not error.final
    return isinstance(error, OctaApiError) and error.status in RETRIED_STATUS
