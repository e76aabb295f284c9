"""Sends requests: attempts, retries, several base URLs, hooks, errors that say whether the server may have acted."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NoReturn, TypeVar

import requests
from urllib3.exceptions import HTTPError, MaxRetryError

from octa_provider.answer import Answer, pieces, whole
from octa_provider.api_error import api_error
from octa_provider.clock import SYSTEM_CLOCK, Clock
from octa_provider.connections import Call, Connections
from octa_provider.download import Target, save_whole
from octa_provider.errors import OctaApiError, OctaConfigError, OctaError, OctaNetworkError
from octa_provider.hooks import RequestContext, ResponseContext
from octa_provider.limits import MAX_ANSWER_BYTES, MAX_ERROR_BYTES, checked_retries, checked_timeout
from octa_provider.redaction import MASK, loggable, loggable_body, without_key
from octa_provider.retry import RETRIED_STATUS, FullJitterRetry

log = logging.getLogger("octa_provider.transport")

T = TypeVar("T")


@dataclass(frozen=True)
class _Failure:
    """One attempt that failed, and the seconds that the server asked to wait."""

    error: OctaError
    asked_s: float | None = None


@dataclass(frozen=True)
class TransportOptions:
    """How requests are sent; the arguments of `OctaClient`, checked."""

    base_urls: tuple[str, ...]
    timeout_s: float = 30.0
    retries: int = 2
    max_retry_after_s: float = 60.0
    allow_http: bool = False
    user_agent: str = "octa-provider"
    on_request: Callable[[RequestContext], object] | None = None
    on_response: Callable[[ResponseContext], object] | None = None
    clock: Clock = SYSTEM_CLOCK


class Transport:
    """Sends requests to one of several base URLs and turns everything that can go wrong into an `OctaError`.

    Safe to share between threads; after a fork the child makes connections of its own.

    Args:
        api_key: the account's key, or None for public endpoints alone.
        options: how requests are sent.
        session: a `requests.Session` to use instead of one of our own; it stays the caller's to close.
    """

    def __init__(self, api_key: str | None, options: TransportOptions, session: requests.Session | None = None) -> None:
        self._api_key = api_key
        self._options = options
        self._connections = Connections(
            api_key,
            options.base_urls,
            user_agent=options.user_agent,
            allow_http=options.allow_http,
            given=session,
        )
        self._preferred = 0

    @property
    def clock(self) -> Clock:
        """Where the time comes from."""
        return self._options.clock

    @property
    def base_url(self) -> str:
        """The base URL in use: the first one, until a connection to it failed."""
        return self._options.base_urls[self._preferred]

    @property
    def account(self) -> tuple[str, ...]:
        """Tells accounts apart: the base URLs, and a hash of the key, which need not lie about in one more place."""
        key = hashlib.sha256((self._api_key or "").encode()).hexdigest()
        return (*self._options.base_urls, key)

    def close(self) -> None:
        """Close the connections that are ours."""
        self._connections.close()

    def masked(self, text: str) -> str:
        """The text with the key masked, for whoever shows what a server sent."""
        return without_key(text, self._api_key)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds the API key, so it can't be pickled or copied: make one where it is needed")

    # -- what resources call -------------------------------------------------------------------------------------

    def get(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        public: bool = False,
        retries: int | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Read `path`, trying again on connection errors, 429 and 5xx."""
        call = self._call("GET", path, params=params, public=public, timeout=timeout)
        return self._request(call, lambda response, url: self._read(response, call, url, MAX_ANSWER_BYTES), retries)

    def send(self, method: str, path: str, *, json: object = None, timeout: float | None = None) -> Answer:
        """Send a request with a side effect: once, whatever happens."""
        call = self._call(method, path, json=json, repeatable=False, timeout=timeout)
        return self._request(call, lambda response, url: self._read(response, call, url, MAX_ANSWER_BYTES))

    def download(self, path: str, target: Target, *, retries: int | None = None, timeout: float | None = None) -> int:
        """Stream `path` to a file path or an open binary file, whole or not at all; returns the bytes written."""
        call = self._call("GET", path, timeout=timeout)

        def fill(file: IO[bytes]) -> int:
            def save(response: requests.Response, url: str) -> int:
                file.seek(0)
                file.truncate()
                return sum(file.write(piece) for piece in pieces(response, "GET", url))

            return self._request(call, save, retries)

        return save_whole(target, fill)

    @contextmanager
    def stream(self, path: str, *, params: Mapping[str, str] | None = None) -> Iterator[Iterator[bytes]]:
        """Read `path` piece by piece, for answers too big to hold. Only the start of it is tried again."""
        response, url = self._request(self._call("GET", path, params=params), lambda response, url: (response, url))
        with response:
            yield pieces(response, "GET", url)

    # -- attempts ------------------------------------------------------------------------------------------------

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
        public: bool = False,
        repeatable: bool = True,
        timeout: float | None = None,
    ) -> Call:
        """A request, checked; OctaConfigError when it can't be sent."""
        if not public and self._api_key is None:
            raise OctaConfigError("no API key: pass api_key=... or set the environment variable OCTA_API_KEY")
        seconds = self._options.timeout_s if timeout is None else checked_timeout(timeout)
        return Call(method, path, params, json, public, repeatable, seconds)

    def _request(self, call: Call, consume: Callable[[requests.Response, str], T], retries: int | None = None) -> T:
        """Attempts until one succeeds or the policy gives up; `consume` turns a 2xx response into the result."""
        options = self._options
        policy = FullJitterRetry.for_reads(
            options.retries if retries is None else checked_retries(retries), options.max_retry_after_s
        )
        while True:
            outcome = self._attempt(call, consume, attempt=len(policy.history) + 1)
            if not isinstance(outcome, _Failure):
                return outcome
            error = outcome.error
            if not call.repeatable or not _may_pass(error):
                raise error
            try:
                policy = policy.increment(call.method, call.path, error=HTTPError())
            except MaxRetryError:
                raise error from error.__cause__
            pause = policy.get_backoff_time() if outcome.asked_s is None else outcome.asked_s
            log.info("%s; trying again in %.1f s", error, pause)
            self.clock.sleep(pause)

    def _attempt(self, call: Call, consume: Callable[[requests.Response, str], T], attempt: int) -> T | _Failure:
        """One attempt: on the preferred base URL, then on the others as long as no byte was sent."""
        urls = self._options.base_urls
        first = self._preferred
        for step in range(len(urls)):
            index = (first + step) % len(urls)
            outcome = self._exchange(call, urls[index] + call.path, consume, attempt)
            if not (isinstance(outcome, _Failure) and isinstance(outcome.error, OctaNetworkError)):
                self._preferred = index
                return outcome
            # Whatever comes next starts at the next host: this one did not answer.
            self._preferred = (index + 1) % len(urls)
            if outcome.error.maybe_sent:
                break
        return outcome

    def _exchange(
        self, call: Call, url: str, consume: Callable[[requests.Response, str], T], attempt: int
    ) -> T | _Failure:
        """One request to one URL: what `consume` made of the answer, or the failure it amounts to."""
        self._tell(self._options.on_request, RequestContext(call.method, url, attempt))
        if log.isEnabledFor(logging.DEBUG):
            body = "" if call.json is None else self.masked(repr(loggable(call.json)))
            log.debug("%s %s attempt %d %s", call.method, url, attempt, body)
        started = self.clock.monotonic()
        response: requests.Response | None = None
        outcome: T | _Failure
        try:
            response = self._connections.send(call, url)
            if 200 <= response.status_code < 300:
                outcome = consume(response, url)
            else:
                outcome = self._failure(response, call, url)
        except OctaError as error:
            outcome = _Failure(error)
        except BaseException:
            # A full disk, or an interrupt: half-read answers must not go back to the pool.
            if response is not None:
                response.close()
            raise
        duration = self.clock.monotonic() - started
        status = None if response is None else response.status_code
        request_id = None if response is None else response.headers.get("x-request-id")
        if request_id:
            request_id = self.masked(request_id)
        problem = str(outcome.error) if isinstance(outcome, _Failure) else None
        if isinstance(outcome, _Failure) and response is not None:
            response.close()
        log.debug("%s %s attempt %d: %s in %.3f s", call.method, url, attempt, problem or status, duration)
        self._tell(
            self._options.on_response,
            ResponseContext(call.method, url, attempt, status, duration, request_id, problem),
        )
        return outcome

    # -- answers -------------------------------------------------------------------------------------------------

    def _read(self, response: requests.Response, call: Call, url: str, limit: int) -> Answer:
        """The whole answer; when it echoes the key, without it: errors, logs and databases take it from here."""
        body = whole(response, call.method, url, clock=self.clock, timeout_s=call.timeout_s, limit=limit)
        if self._api_key:
            body = body.replace(self._api_key.encode(), MASK.encode())
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s answered %d %s", call.method, url, response.status_code, loggable_body(body))
        return Answer(response.status_code, body, call.method, url)

    def _failure(self, response: requests.Response, call: Call, url: str) -> _Failure:
        """What an answer outside 2xx amounts to."""
        try:
            body = self._read(response, call, url, MAX_ERROR_BYTES).body
        except OctaError:
            # The status alone says what to do: an error body that breaks off must not hide it.
            body = b""
        asked_s = FullJitterRetry.for_reads(0, self._options.max_retry_after_s).seconds_asked(
            response.headers.get("Retry-After")
        )
        request_id = response.headers.get("x-request-id")
        error = api_error(
            response.status_code,
            method=call.method,
            url=url,
            body=body.decode("utf-8", "replace"),
            request_id=self.masked(request_id) if request_id else None,
            retry_after=asked_s,
        )
        return _Failure(error, asked_s)

    @staticmethod
    def _tell(hook: Callable[[Any], object] | None, context: object) -> None:
        if hook is None:
            return
        try:
            hook(context)
        except Exception:
            # A broken hook must not lose the answer to a POST that has just rented a machine.
            log.exception("a hook of the client failed on %r", context)


def _may_pass(error: OctaError) -> bool:
    """True for errors that the same GET may not meet again."""
    return isinstance(error, OctaNetworkError) or (isinstance(error, OctaApiError) and error.status in RETRIED_STATUS)
