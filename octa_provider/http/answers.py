"""Reading an answer: piece by piece or whole, within a time and a size that this process can bear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from octa_provider.errors import MAX_BODY_CHARS, OctaDecodeError, OctaNetworkError, OctaTimeoutError
from octa_provider.http.session import innermost
from octa_provider.http.time_limit import TimeLimit
from octa_provider.models import decode_json
from octa_provider.timing.limits import FREELY_UNPACKED_BYTES, MAX_ANSWER_BYTES, MAX_ANSWER_VALUES, MAX_UNPACKED_RATIO
from octa_provider.wire.secret_fields import cut_before_secrets

CHUNK_BYTES = 64 * 1024
MAYBE = "(the server may have acted on it)"


@dataclass(frozen=True)
class Answer:
    """An answer, whole.

    Attributes:
        status, body, method, url: as their names say.
        elsewhere: a sentence about the other host that gave it, after a redirect; None when it was the one asked.
    """

    status: int
    body: bytes
    method: str
    url: str
    elsewhere: str | None = None

    def json(self) -> object:
        """The body decoded; raises OctaDecodeError when it is not JSON."""
        try:
            return decode_json(self.body)
        except ValueError as error:
            raise OctaDecodeError(
                f"{self.method} {self.url} answered {self.status} with something that is not JSON"
                + (f". {self.elsewhere}" if self.elsewhere else ""),
                what=f"{self.method} {self.url}",
                body=cut_before_secrets(self.body[:MAX_BODY_CHARS].decode("utf-8", "replace")),
            ) from error


@dataclass(frozen=True)
class Arrived:
    """An answer whose headers have arrived, its body not read yet.

    Attributes:
        response: as requests gives it.
        method, url: of the request.
        limit: when the body must have ended, however busily it arrives.
    """

    response: requests.Response
    method: str
    url: str
    limit: TimeLimit

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives: `read1` gives what is there, so that a dripping server can't hold us in one read.

        Raises:
            OctaNetworkError: the body broke off; OctaTimeoutError when it did not end within the limit.
            OctaCancelledError: the caller has taken it back.
        """
        limit = self.limit
        limit.in_body = True
        try:
            while chunk := self.response.raw.read1(CHUNK_BYTES, decode_content=True):
                if not limit.counted:
                    # A session of the caller's own, whose connections know no limit.
                    limit.slice_s()
                    limit.came(len(chunk))
                yield chunk
        except (HTTPError, OSError) as error:
            if isinstance(error, (ReadTimeoutError, TimeoutError)):
                kind: type[OctaNetworkError] = OctaTimeoutError
                problem = f"the answer did not end in time: {limit.told}"
            else:
                kind, problem = OctaNetworkError, f"the answer broke off: {innermost(error)}"
            raise kind(f"{self.method} {self.url}: {problem} {MAYBE}", method=self.method, url=self.url) from error

    def whole(self, most_bytes: int) -> bytes:
        """The whole body.

        Args:
            most_bytes: unpacked.

        Raises:
            OctaNetworkError, OctaCancelledError: as for `pieces`.
            OctaDecodeError: it is longer than `most_bytes`, or holds more than any answer of the API.
        """
        body = bytearray()
        for chunk in self.pieces():
            body += chunk
            if len(body) > most_bytes:
                raise self._too_much(f"more than {most_bytes} bytes")
            if len(body) > FREELY_UNPACKED_BYTES + MAX_UNPACKED_RATIO * self._wire_bytes():
                raise self._too_much(f"what unpacks to more than {MAX_UNPACKED_RATIO} times its length")
        if body.count(b",") > MAX_ANSWER_VALUES:
            raise self._too_much(f"more than {MAX_ANSWER_VALUES} values")
        return bytes(body)

    def _wire_bytes(self) -> int:
        """Bytes that have come over the wire; without end where a session of the caller's own does not tell."""
        tell = getattr(self.response.raw, "tell", None)
        return int(tell()) if tell is not None else MAX_ANSWER_BYTES

    def _too_much(self, what: str) -> OctaDecodeError:
        asked = f"{self.method} {self.url}"
        return OctaDecodeError(f"{asked} answered with {what}: that is no answer of the API", what=asked)
