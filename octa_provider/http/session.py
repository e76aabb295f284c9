"""The `requests` session under the client, and what its exceptions say about bytes that may have left."""

from __future__ import annotations

import os
import ssl
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase
from requests.utils import get_environ_proxies
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    MaxRetryError,
    NewConnectionError,
)

from octa_provider.errors import OctaConfigError
from octa_provider.http.bounded_connection import BoundedAdapter
from octa_provider.http.urls import is_loopback

#: How http.client's error begins when a proxy refuses to open a tunnel: before that, nothing goes through it.
_NO_TUNNEL = "Tunnel connection failed"


class KeyAuth(AuthBase):
    """Puts the key into `Authorization` as the API wants it: no scheme, no prefix (S, C).

    Given as `auth=` rather than as a header, so that `~/.netrc` can't replace it.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._api_key
        return request


class NoAuth(AuthBase):
    """Adds nothing to a request, and keeps `~/.netrc` from adding something."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def new_session(base_urls: tuple[str, ...]) -> requests.Session:
    """A keep-alive session that has read the environment once.

    `trust_env` would read the environment again at every request, which costs a third of a small one. Proxies and
    the certificate bundle that the environment names are taken over here.

    Raises:
        OctaConfigError: the environment names a certificate bundle that does not exist.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = _certificates()
    for base_url in base_urls:
        parts = urlsplit(base_url)
        proxies = proxies_for(base_url)
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        if proxy:
            session.proxies[f"{parts.scheme}://{parts.hostname}"] = proxy
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, BoundedAdapter(pool_connections=8, pool_maxsize=32, max_retries=0))
    return session


def proxies_for(url: str) -> dict[str, str]:
    """The proxies that the environment names for a URL; none for this machine itself.

    Plain http is permitted to loopback because nobody sees it there: a proxy would carry the key across the network.
    """
    if is_loopback(urlsplit(url).hostname):
        return {}
    return dict(get_environ_proxies(url))


def maybe_sent(error: requests.RequestException | HTTPError | TimeoutError) -> bool:
    """False only when it is certain that no byte of the request left; everything unclear counts as sent."""
    causes = causes_of(error)
    if isinstance(error, ValueError):
        # The URL, a header of ours or the proxy was refused; but urllib3's InvalidHeader is about the answer's headers.
        return any(isinstance(cause, InvalidHeader) for cause in causes)
    if any(isinstance(cause, OSError) and str(cause).startswith(_NO_TUNNEL) for cause in causes):
        return False
    # urllib3's ProxyError is not here: a proxy that lost a plain request after it got it raises that too.
    unsent = (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError)
    return not any(isinstance(cause, unsent) for cause in causes)


def innermost(error: BaseException) -> str:
    """What went wrong, without the layers that requests and urllib3 wrap around it."""
    cause = causes_of(error)[-1]
    return f"{type(cause).__name__}: {cause}"


def _certificates() -> str | bool:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name)
        if path:
            if not Path(path).exists():
                raise OctaConfigError(f"{name} names {path}, which does not exist: correct it, or unset it")
            return path
    return True


def causes_of(error: BaseException) -> list[BaseException]:
    """The error and what it was made of, the layers of requests and urllib3 first, at most ten."""
    chain = [error]
    while len(chain) < 10:
        last = chain[-1]
        inner = (
            last.reason
            if isinstance(last, MaxRetryError)
            else next((a for a in last.args if isinstance(a, BaseException)), None)
        )
        if inner is None and isinstance(last, HTTPError):
            # These keep what the system said as their cause alone.
            inner = last.__cause__
        if inner is None:
            break
        chain.append(inner)
    return chain
