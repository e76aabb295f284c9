"""Addresses that a stranger told and a user may click on."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

__all__ = ["web_address"]

_LONGEST = 2000


def web_address(told: object) -> str | None:
    """The address when it leads to a web page; None for anything else, such as `javascript:` or `data:`.

    Args:
        told: as the API told it.

    Returns:
        It, with what could end a link in Markdown or HTML percent-encoded.
    """
    if not isinstance(told, str) or len(told) > _LONGEST or any(c.isspace() or not c.isprintable() for c in told):
        return None
    try:
        parts = urlsplit(told)
        host = parts.hostname
    except ValueError:
        return None
    # `https://bank.example@evil.example` leads to the latter, and reads as the former.
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc or "\\" in told:
        return None
    return quote(told, safe="%/:=&?~#+!$,;@[]*'-._") if _has_host_only(parts.netloc) else None


def _has_host_only(netloc: str) -> bool:
    return not set(netloc) & set("<>()\"'`|^{}")
