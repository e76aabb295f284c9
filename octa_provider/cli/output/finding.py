"""One thing that the doctor has looked at, in a sentence that says what to do when it is bad."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TextIO
from urllib.parse import urlsplit

from octa_provider.cli.output.streams import takes_unicode
from octa_provider.errors import OctaError, OctaNetworkError

__all__ = ["Finding", "clock_finding", "connection_advice", "marks_for", "tls_finding"]

#: Ages and deadlines are told by comparing the API's times with ours.
MAX_SKEW_S = 30.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        ok: True for good, False for bad, None for what only informs.
        name: what was looked at.
        text: what was found, and what to do when it is bad.
    """

    ok: bool | None
    name: str
    text: str


def clock_finding(skew_s: float | None) -> Finding:
    """How this machine's clock and the API's agree.

    Args:
        skew_s: seconds that ours is ahead; None when it can't be told.
    """
    if skew_s is None:
        return Finding(None, "clock", "the API's answer has no date to compare with")
    if abs(skew_s) <= MAX_SKEW_S:
        return Finding(True, "clock", "agrees with the API's")
    direction = "ahead of" if skew_s > 0 else "behind"
    return Finding(
        False, "clock", f"this machine is {abs(skew_s):.0f} s {direction} the API: set its clock (NTP), ages are wrong"
    )


def tls_finding(base_url: str) -> Finding:
    """Whether the connection to the API is encrypted, and by which certificates it is verified."""
    if urlsplit(base_url).scheme == "https":
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return Finding(True, "TLS", f"verified{f' against {bundle}' if bundle else ''}")
    return Finding(None, "TLS", "not used: the API is on this machine")


def connection_advice(error: OctaError) -> str:
    """What to do about an API that can't be reached."""
    if "CERTIFICATE" in str(error).upper() or "SSL" in str(error).upper():
        return "Is there a proxy that opens TLS? Then name its certificates in REQUESTS_CA_BUNDLE"
    if isinstance(error, OctaNetworkError):
        return "Check the network, the proxy settings, and OCTA_BASE_URL or --base-url"
    return "Check OCTA_BASE_URL or --base-url: does the OctaSpace API live there?"


def marks_for(stream: TextIO) -> dict[bool | None, str]:
    """What stands in front of a finding that is good, bad, or only informs.

    Args:
        stream: where it is shown; one that takes no Unicode gets words.
    """
    if takes_unicode(stream):
        return {True: "✓", False: "✗", None: "-"}
    return {True: "ok  ", False: "FAIL", None: "-   "}
