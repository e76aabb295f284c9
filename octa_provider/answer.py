"""Reading an answer: piece by piece or whole, within a time and a size that this process can bear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from octa_provider.clock import Clock
from octa_provider.errors import MAX_BODY_CHARS, OctaDecodeError, OctaNetworkError, OctaTimeoutError
from octa_provider.http_session import innermost
from octa_provider.models import decode_json

CHUNK_BYTES = 64 * 1024
MAYBE = "(the server may have acted on it)"


@dataclass(frozen=True)
class Answer:
    """A 2xx answer, whole."""

    status: int
    body: bytes
    method: str
    url: str

    def json(self) -> object:
        """The body decoded; raises OctaDecodeError when it is not JSON."""
        try:
            return decode_json(self.body)
        except ValueError as error:
            raise OctaDecodeError(
                f"{self.method} {self.url} answered {self.status} with something that is not JSON",
                what=f"{self.method} {self.url}",
                body=self.body[:MAX_BODY_CHARS].decode("utf-8", "replace"),
            ) from error


def pieces(response: requests.Response, method: str, url: str) -> Iterator[bytes]:
    """The body as it arrives: `read1` gives what is there, so that a dripping server can't hold us in one read.

    Raises:
        OctaNetworkError: the body broke off; OctaTimeoutError when the server fell silent.
    """
    try:
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            yield chunk
    except (HTTPError, OSError) as error:
        kind = OctaTimeoutError if isinstance(error, ReadTimeoutError) else OctaNetworkError
        raise kind(
            f"{method} {url}: the answer broke off: {innermost(error)} {MAYBE}", method=method, url=url
        ) from error


def whole(response: requests.Response, method: str, url: str, *, clock: Clock, timeout_s: float, limit: int) -> bytes:
    """The whole body.

    Args:
        response: an answer whose body was not read yet.
        method: for errors.
        url: for errors.
        clock: where the time comes from.
        timeout_s: seconds until the body must have ended, however busily it arrives.
        limit: most bytes, unpacked.

    Raises:
        OctaNetworkError: the body broke off, or did not end in time.
        OctaDecodeError: it is longer than `limit`.
    """
    deadline = clock.monotonic() + timeout_s
    body = bytearray()
    for chunk in pieces(response, method, url):
        body += chunk
        if len(body) > limit:
            raise OctaDecodeError(f"{method} {url} answered with more than {limit} bytes", what=f"{method} {url}")
        if clock.monotonic() > deadline:
            raise OctaTimeoutError(
                f"{method} {url}: the answer did not end within {timeout_s:g} s {MAYBE}", method=method, url=url
            )
    return bytes(body)
