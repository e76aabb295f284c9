"""Where a redirect leads, and whether the key may go along."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from octa_provider.errors import OctaConfigError
from octa_provider.http.urls import is_loopback

MAX_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}


_HELD = "x-octa-held-location"


def hold_redirect(response: requests.Response, *args: Any, **kwargs: Any) -> None:
    """A response hook that hides a redirect from requests.

    Even when told not to follow it, requests reads the whole body of a redirect, however long, and parses its target.
    """
    if response.is_redirect:
        response.headers[_HELD] = response.headers.pop("location")


def redirect_target(response: requests.Response, *, allow_http: bool) -> str | None:
    """The URL that an answer held by `hold_redirect` leads to; None when it does not, or to no web address.

    Args:
        response: the answer.
        allow_http: whether plain http to other machines is permitted.

    Raises:
        OctaConfigError: to plain http on another machine.
    """
    location = response.headers.get(_HELD)
    if location is None:
        return None
    try:
        target = urljoin(response.url, location)
        parts = parse_url(target)
    except (ValueError, LocationParseError):
        return None
    if parts.scheme not in _PORTS or not parts.host or parts.auth:
        return None
    if parts.scheme == "http" and not (allow_http or is_loopback(_name(parts))):
        raise OctaConfigError(
            f"{response.url.partition('?')[0]} redirects to plain http at {parts.host}, which all can read: "
            "use the https base URL that the server means"
        )
    return target


def told_of_redirect(response: requests.Response, url: str, path: str | None = None) -> str | None:
    """A sentence about where a request ended up, for its error; None when that is where it was sent.

    Args:
        response: the last answer.
        url: what was asked.
        path: the end of `url` that is the API's: what stands before it at the other host may be the base URL to use.
    """
    location = response.headers.get(_HELD)
    if location is None and response.url.partition("?")[0] == url:
        return None
    try:
        target = response.url if location is None else urljoin(response.url, location)
        if same_origin(url, target):
            return None
        where = parse_url(target)._replace(auth=None, query=None, fragment=None).url.rstrip("/")
    except (ValueError, LocationParseError):
        return None
    if location is None:
        told = f"It was redirected to {where}, another host, which is not shown the key"
    else:
        told = f"It redirects to {where}, another host, where nothing was sent"
    if path is None:
        return told
    return f"{told}: if that is where the API lives, set base_url={where.removesuffix(path)}"


def same_origin(one: str, other: str) -> bool:
    """True when both URLs are served by the same scheme, host and port: only then may the key go along.

    Args:
        one: a URL.
        other: another one.
    """
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str | None, str, int | None]:
    # urllib3 reads the URL here because urllib3 connects to it: two parsers can disagree on what the host is.
    parts = parse_url(url)
    return parts.scheme, _name(parts), parts.port or _PORTS.get(parts.scheme or "")


def _name(parts: Url) -> str:
    return (parts.host or "").strip("[]").lower()
