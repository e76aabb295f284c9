"""Sends requests: attempts, retries, several base URLs, hooks, errors that say whether the server may have acted."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, NoReturn, TypeVar

import requests
from urllib3.exceptions import HTTPError, MaxRetryError

from octa_provider.errors import OctaCancelledError, OctaConfigError, OctaError, OctaNetworkError
from octa_provider.files.whole_file import Target, save_whole
from octa_provider.http.answers import Answer, Arrived
from octa_provider.http.bounds import Bounds
from octa_provider.http.connections import Call, Connections
from octa_provider.http.failure import Failure, failed_answer, may_pass
from octa_provider.http.hooks import RequestContext, ResponseContext, tell_hook
from octa_provider.http.hosts import ApiHosts
from octa_provider.http.options import TransportOptions
from octa_provider.http.read_answer import read_answer
from octa_provider.http.redaction import error_body, loggable, without_key
from octa_provider.http.redirects import told_of_redirect
from octa_provider.http.retry import FullJitterRetry
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.clock import Clock
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.limits import MAX_ANSWER_BYTES, MAX_ERROR_BYTES, checked_retries, checked_timeout
from octa_provider.timing.outage import outages

log = plain_logger("octa_provider.http.transport")

T = TypeVar("T")


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
        self._hosts = ApiHosts(options.base_urls, options.clock)
        self._connections = Connections(
            api_key,
            options.base_urls,
            self._hosts,
            user_agent=options.user_agent,
            allow_http=options.allow_http,
            given=session,
        )
        self._bounds = Bounds()

    @property
    def clock(self) -> Clock:
        """Where the time comes from."""
        return self._options.clock

    @property
    def base_url(self) -> str:
        """The base URL in use: the first one, until a connection to it failed."""
        return self._hosts.first

    @property
    def account(self) -> tuple[str, ...]:
        """Tells accounts apart: the base URLs, and a hash of the key, which need not lie about in one more place."""
        key = hashlib.sha256((self._api_key or "").encode()).hexdigest()
        return (*self._options.base_urls, key)

    def within(self, deadline: Deadline, is_cancelled: Callable[[], bool]) -> Transport:
        """This transport on the same connections, with every request bounded: see `OctaClient.within`.

        Args:
            deadline: when every request must have ended.
            is_cancelled: asked while a read's answer arrives.
        """
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._bounds = self._bounds.within(deadline, is_cancelled)
        return view

    def close(self) -> None:
        """Close the connections that are ours; of a transport that `within` gave, none are."""
        if not self._bounds:
            self._connections.close()

    @property
    def secret(self) -> str | None:
        """The key, for what must not let it through; never for showing."""
        return self._api_key

    @property
    def key_was_accepted(self) -> bool:
        """Whether the API has ever taken the key: a refusal after that may pass, as a slip of a gateway does."""
        return self._connections.key_was_accepted

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
        """Read `path`, trying again on connection errors, 429 and 5xx.

        Args:
            path: below the base URL; `path_of` makes it.
            params: the query.
            public: whether it needs no key, and is sent without it.
            retries: tries after the first one; the client's when left out.
            timeout: seconds, by the name that `requests` has for it; the client's when left out.
        """
        call = self._call("GET", path, params=params, public=public, timeout=timeout)
        return self._request(call, self._read, retries)

    def send(self, method: str, path: str, *, json: object = None, timeout: float | None = None) -> Answer:
        """Send a request with a side effect: once, whatever happens.

        Args:
            method: the HTTP method.
            path: below the base URL; `path_of` makes it.
            json: the body, if there is one.
            timeout: seconds, by the name that `requests` has for it; the client's when left out.
        """
        call = self._call(method, path, json=json, repeatable=False, timeout=timeout)
        return self._request(call, lambda arrived: self._read(arrived, sent=json))

    def download(self, path: str, target: Target, *, retries: int | None = None, timeout: float | None = None) -> int:
        """Stream `path` to a file path or an open binary file, whole or not at all; returns the bytes written.

        Args:
            path: below the base URL; `path_of` makes it.
            target: a path or an open binary file.
            retries: tries after the first one; the client's when left out.
            timeout: seconds, by the name that `requests` has for it; the client's when left out.
        """
        call = self._call("GET", path, timeout=timeout, streamed=True)

        def fill(file: IO[bytes]) -> int:
            def save(arrived: Arrived) -> int:
                file.seek(0)
                file.truncate()
                return sum(file.write(piece) for piece in arrived.pieces())

            return self._request(call, save, retries)

        return save_whole(target, fill)

    @contextmanager
    def stream(self, path: str, *, params: Mapping[str, str] | None = None) -> Iterator[Iterator[bytes]]:
        """Read `path` piece by piece, for answers too big to hold. Only the start of it is tried again.

        Args:
            path: below the base URL; `path_of` makes it.
            params: the query.
        """
        arrived = self._request(self._call("GET", path, params=params, streamed=True), lambda arrived: arrived)
        with arrived.response:
            yield arrived.pieces()
        outages.answered(arrived.url, arrived.method, self.clock)

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
        streamed: bool = False,
    ) -> Call:
        """A request, checked; OctaConfigError when it can't be sent."""
        if not public and self._api_key is None:
            raise OctaConfigError("no API key: pass api_key=... or set the environment variable OCTA_API_KEY")
        seconds = self._options.timeout_s if timeout is None else checked_timeout(timeout)
        return Call(method, path, params, json, public, repeatable, seconds, streamed)

    def _request(self, call: Call, consume: Callable[[Arrived], T], retries: int | None = None) -> T:
        """Attempts until one succeeds or the policy gives up; `consume` turns a 2xx response into the result."""
        tries = self._options.retries if retries is None else checked_retries(retries)
        policy: FullJitterRetry | None = None
        while True:
            outcome = self._attempt(call, consume, attempt=1 if policy is None else len(policy.history) + 1)
            if not isinstance(outcome, Failure):
                return outcome
            error = outcome.error
            if not call.repeatable or not may_pass(error):
                raise error
            if policy is None:
                # Whoever set bounds asks again himself: two layers would multiply their tries.
                policy = FullJitterRetry.for_reads(0 if self._bounds else tries, self._options.max_retry_after_s)
            try:
                policy = policy.increment(call.method, call.path, error=HTTPError())
            except MaxRetryError:
                raise error from error.__cause__
            pause = policy.get_backoff_time() if outcome.asked_s is None else outcome.asked_s
            log.info("%s; trying again in %.1f s", error, pause)
            self.clock.sleep(pause)

    def _attempt(self, call: Call, consume: Callable[[Arrived], T], attempt: int) -> T | Failure:
        """One attempt: on the preferred base URL, then on the others as long as no byte was sent."""
        hopeful: Failure | None = None
        for base_url in self._hosts.in_turn():
            outcome = self._exchange(call, base_url + call.path, consume, attempt)
            if not (isinstance(outcome, Failure) and isinstance(outcome.error, OctaNetworkError)):
                self._hosts.prefer(base_url)
                return outcome
            # Whatever comes next starts at the next host: this one did not answer.
            self._hosts.pass_over(base_url)
            if outcome.error.maybe_sent:
                return outcome
            if not outcome.error.final:
                hopeful = outcome
        # As long as one of them may come back, asking again can help.
        return hopeful or outcome

    def _exchange(self, call: Call, url: str, consume: Callable[[Arrived], T], attempt: int) -> T | Failure:
        """One request to one URL: what `consume` made of the answer, or the failure that it is."""
        options = self._options
        if options.on_request is not None:
            tell_hook(options.on_request, RequestContext(call.method, url, attempt))
        if log.isEnabledFor(logging.DEBUG):
            body = "" if call.json is None else self.masked(repr(loggable(call.json)))
            log.debug("%s %s attempt %d %s", call.method, url, attempt, body)
        started = self.clock.monotonic()
        response: requests.Response | None = None
        outcome: T | Failure
        try:
            limit = self._bounds.limit(call.timeout_s, streamed=call.streamed, side_effect=not call.repeatable)
            response = self._connections.send(call, url, limit)
            arrived = Arrived(response, call.method, url, limit)
            if 200 <= response.status_code < 300:
                self._connections.key_was_accepted |= not call.public
                outcome = consume(arrived)
            else:
                outcome = self._failure(arrived, call)
        except OctaError as error:
            outcome = Failure(error)
        except BaseException:
            # A full disk, or an interrupt: half-read answers must not go back to the pool.
            if response is not None:
                response.close()
            raise
        if isinstance(outcome, Failure) and response is not None:
            elsewhere = told_of_redirect(response, url, call.path)
            if elsewhere is not None:
                outcome.error.also(self.masked(elsewhere))
            response.close()
        duration = self.clock.monotonic() - started
        status = None if response is None else response.status_code
        request_id = None if response is None else response.headers.get("x-request-id")
        if request_id:
            request_id = self.masked(request_id)
        problem = str(outcome.error) if isinstance(outcome, Failure) else None
        if response is not None and not (isinstance(outcome, Failure) and isinstance(outcome.error, OctaNetworkError)):
            is_answer = not call.streamed and not (isinstance(outcome, Failure) and may_pass(outcome.error))
            outages.answered(url, call.method if is_answer else None, self.clock)
        log.debug("%s %s attempt %d: %s in %.3f s", call.method, url, attempt, problem or status, duration)
        if options.on_response is not None:
            context = ResponseContext(call.method, url, attempt, status, duration, request_id, problem)
            tell_hook(options.on_response, context)
        return outcome

    # -- answers -------------------------------------------------------------------------------------------------

    def _read(self, arrived: Arrived, most_bytes: int | None = None, sent: object = None) -> Answer:
        most = MAX_ANSWER_BYTES if most_bytes is None else most_bytes
        return read_answer(arrived, most, api_key=self._api_key, sent=sent)

    def _failure(self, arrived: Arrived, call: Call) -> Failure:
        """The failure that a non-2xx answer is."""
        try:
            body = self._read(arrived, MAX_ERROR_BYTES, call.json).body
        except OctaCancelledError:
            raise
        except OctaError:
            # The status alone says what to do: an error body that breaks off must not hide it.
            body = b""
        return failed_answer(
            arrived,
            error_body(body, call.json),
            max_retry_after_s=self._options.max_retry_after_s,
            masked=self.masked,
        )
