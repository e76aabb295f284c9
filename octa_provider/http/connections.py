"""One request to one URL: with the key where it belongs, over the connections of this process, redirects judged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from octa_provider.errors import OctaConfigError, OctaNetworkError, OctaTimeoutError
from octa_provider.http.hosts import ApiHosts
from octa_provider.http.network_fault import fault_of
from octa_provider.http.redaction import without_key
from octa_provider.http.redirects import MAX_REDIRECTS, hold_redirect, redirect_target, same_origin
from octa_provider.http.repeated_read import RepeatedReads
from octa_provider.http.session import KeyAuth, NoAuth, innermost, maybe_sent, new_session, proxies_for
from octa_provider.http.time_limit import TimeLimit


@dataclass(frozen=True)
class Call:
    """One request as it was asked for, before it has a host.

    Attributes:
        method, path, params, json: of the request.
        public: sent without the key.
        repeatable: reads only, so that it may be sent again and may follow redirects.
        timeout_s: seconds for the whole of it: connection, request and answer.
        streamed: the answer may be of any size, and has more time while it arrives at a fair rate.
    """

    method: str
    path: str
    params: Mapping[str, str] | None
    json: object
    public: bool
    repeatable: bool
    timeout_s: float
    streamed: bool = False


class Connections:
    """The connections of this process. Safe to share between threads; a forked child makes its own.

    Args:
        api_key: the account's key, or None for public endpoints alone.
        base_urls: where requests will go; their proxies are read from the environment once.
        hosts: is told which hosts have answered.
        user_agent: the `User-Agent`.
        allow_http: a redirect may lead to plain http.
        given: a `requests.Session` to use instead of one of our own; it stays the caller's to close.

    Attributes:
        key_was_accepted: whether the API has ever taken the key from these connections; set by whoever judges answers.
    """

    def __init__(
        self,
        api_key: str | None,
        base_urls: tuple[str, ...],
        hosts: ApiHosts,
        *,
        user_agent: str,
        allow_http: bool,
        given: requests.Session | None,
    ) -> None:
        self._api_key = api_key
        self._base_urls = base_urls
        self._hosts = hosts
        self._user_agent = user_agent
        self._allow_http = allow_http
        self._given = given
        self._own: dict[int, RepeatedReads] = {}
        self.key_was_accepted = False

    def close(self) -> None:
        """Close the connections that are this process's own."""
        reads = self._own.pop(os.getpid(), None)
        if reads is not None:
            reads.close()

    def send(self, call: Call, url: str, limit: TimeLimit) -> requests.Response:
        """The answer to one request, its body not read yet, redirects and all within the limit.

        A redirect is followed for a read alone: following it otherwise would send a side effect twice, or turn it into
        a GET. Once it leaves the origin of `url`, the key stays behind, wherever the next redirect leads.

        Args:
            call: the request.
            url: where it goes.
            limit: how long it may take.

        Raises:
            OctaNetworkError: no answer arrived.
            OctaConfigError: nothing could be sent, or a redirect leads to plain http.
        """
        auth: AuthBase = NoAuth() if call.public or self._api_key is None else KeyAuth(self._api_key)
        response = self._send_once(call, url, auth, limit)
        for _ in range(MAX_REDIRECTS if call.repeatable else 0):
            try:
                target = redirect_target(response, allow_http=self._allow_http)
            except OctaConfigError:
                response.close()
                raise
            if target is None:
                break
            response.close()
            if not same_origin(url, target):
                auth = NoAuth()
            response = self._send_once(call, target, auth, limit, redirected=True)
        return response

    def _send_once(
        self, call: Call, url: str, auth: AuthBase, limit: TimeLimit, *, redirected: bool = False
    ) -> requests.Response:
        limit.request_left = False
        try:
            with limit.imposed():
                response = self._answer(call, url, auth, limit, redirected=redirected)
        except (requests.RequestException, HTTPError, TimeoutError) as error:
            raise self._network_error(error, call.method, url.partition("?")[0], limit) from error
        except OSError as error:
            # requests reads certificate files before it connects, and wraps whatever goes wrong after that.
            raise OctaConfigError(f"{call.method} {url.partition('?')[0]} can't be sent: {error}") from error
        self._hosts.has_answered(url)
        return response

    def _answer(self, call: Call, url: str, auth: AuthBase, limit: TimeLimit, *, redirected: bool) -> requests.Response:
        headers = {"User-Agent": self._user_agent, "Accept": "application/json, */*;q=0.5"}
        params = dict(call.params) if call.params and not redirected else {}
        if call.method == "GET" and call.json is None and not redirected and self._given is None:
            reads = self._reads()
            if reads.is_usual:
                read = reads.prepared(url, params, headers, auth, public=call.public)
                response = reads.send(read, limit.wait_s())
                hold_redirect(response)
                return response
        body = None
        if call.json is not None:
            body = msgspec.json.encode(call.json)
            headers["Content-Type"] = "application/json"
        session = self._reads().session if self._given is None else self._given
        return session.request(
            call.method,
            url,
            params=params or None,
            data=body,
            headers=headers,
            auth=auth,
            timeout=limit.wait_s(),
            stream=True,
            allow_redirects=False,
            hooks={"response": [*session.hooks["response"], hold_redirect]},
            proxies=proxies_for(url) if redirected and self._given is None else None,
        )

    def _network_error(
        self, error: requests.RequestException | HTTPError | TimeoutError, method: str, url: str, limit: TimeLimit
    ) -> OctaNetworkError:
        # A session of the caller's own tells nothing about its connections: there the error alone must do.
        sent = maybe_sent(error) and (limit.request_left or self._given is not None)
        kind = OctaTimeoutError if isinstance(error, (requests.Timeout, TimeoutError)) else OctaNetworkError
        effect = "the server may have acted on it" if sent else "nothing was sent"
        # The request carries the key, and whoever stores this error may store its cause along with it.
        if isinstance(error, requests.RequestException):
            error.request = None
        fault = fault_of(error, urlsplit(url).hostname or url)
        cause = without_key(innermost(error), self._api_key)
        text = f"{fault.text} ({effect}; {cause})" if fault.text else f"{cause} ({effect})"
        return kind(
            f"{method} {url}: {text}",
            maybe_sent=sent,
            method=method,
            url=url,
            final=self._hosts.is_final(url, fault),
            unreached_s=self._hosts.unreached_s(url, fault),
        )

    def _reads(self) -> RepeatedReads:
        """Those of this process's session: a forked child must not write into its parent's sockets."""
        reads = self._own.get(os.getpid())
        # No lock, which a fork could copy while it is held: of two threads that make one, setdefault takes the first.
        return reads or self._own.setdefault(os.getpid(), RepeatedReads(new_session(self._base_urls)))
