"""Where requests go: base URLs that are safe to send a key to, and paths that stay where they belong."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit

from octa_provider.errors import OctaConfigError

DEFAULT_BASE_URL = "https://api.octa.computer"
#: What needs no quoting, and is neither `.` nor `..`: uuids, numbers, the API's own names.
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def path_of(*segments: object) -> str:
    """A request path from its segments, each quoted; OctaConfigError (a ValueError) for one that leaves its place."""
    return "/" + "/".join(_quoted(str(segment)) for segment in segments)


def _quoted(segment: str) -> str:
    if _PLAIN.fullmatch(segment):
        return segment
    odd = any(c in "/\\" or ord(c) < 33 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in segment)
    if odd or segment in {"", ".", ".."}:
        raise OctaConfigError(f"{segment[:80]!r} can't be part of a request path: pass a plain id or uuid")
    return quote(segment, safe="")


def is_loopback(host: str | None) -> bool:
    """True for this machine's own addresses, where plain http shows nothing to anybody."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def checked_base_url(url: str, *, allow_http: bool = False) -> str:
    """The base URL without its trailing slash.

    Args:
        url: as it was given.
        allow_http: whether plain http to other machines is permitted.

    Raises:
        OctaConfigError: it is no URL, holds credentials or a query, or is plain http to another machine.
    """
    text = url.strip().rstrip("/")
    if any(c == "\\" or ord(c) < 33 or ord(c) == 127 for c in text):
        # One parser of URLs drops these, another ends the host at them: then the key goes where nobody looked.
        raise OctaConfigError("base_url holds a space, a backslash or a control character: take it out")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise OctaConfigError(f"base_url is not a URL: write it like {DEFAULT_BASE_URL}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise OctaConfigError(f"base_url must start with https:// and name a host, like {DEFAULT_BASE_URL}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise OctaConfigError("base_url must hold no user name, password, query or fragment: pass the key as api_key=")
    if parts.scheme == "http" and not (allow_http or is_loopback(host)):
        raise OctaConfigError(
            f"plain http would show the API key to the network: use https for {host}, or allow_http=True"
        )
    return text
