"""What kept an answer from arriving: in words that say what to do, and whether asking again can help."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from requests.exceptions import InvalidProxyURL, InvalidSchema
from urllib3.exceptions import InvalidHeader, LocationParseError, ProxyError, ProxySchemeUnknown

from octa_provider.http.session import causes_of

#: What OpenSSL calls the failures that no second try of the same two machines mends.
_NO_COMMON_TLS = re.compile(
    "WRONG_VERSION_NUMBER|UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|VERSION_TOO_LOW|NO_PROTOCOLS_AVAILABLE|HTTP_REQUEST"
    "|HTTPS_PROXY_REQUEST|NO_SHARED_CIPHER|NO_CIPHERS_AVAILABLE|HANDSHAKE_FAILURE|INSUFFICIENT_SECURITY"
    "|UNSAFE_LEGACY_RENEGOTIATION_DISABLED|DH_KEY_TOO_SMALL|EE_KEY_TOO_SMALL|CA_MD_TOO_WEAK|UNRECOGNIZED_NAME"
    "|CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|UNKNOWN_PROTOCOL"
)
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (401|403|407)\b")
_UNKNOWN_NAME = {
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
}


class Hope(Enum):
    """Whether asking again can help, of a host that has never answered. One that has answered may always come back."""

    NONE = "none"
    SHORT = "short"
    LONG = "long"


@dataclass(frozen=True)
class NetworkFault:
    """Why no answer arrived.

    Attributes:
        hope: whether asking again can help.
        text: what is wrong and what to do; empty when the error itself says all that is known.
    """

    hope: Hope
    text: str = ""


def fault_of(error: BaseException, host: str) -> NetworkFault:
    """What an exception of requests or urllib3 is about.

    Args:
        error: as it was raised.
        host: the host that was asked.
    """
    causes = causes_of(error)
    # With a proxy it is the proxy that we talk to.
    at_proxy = any(isinstance(cause, ProxyError) for cause in causes)
    whom = "the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY)" if at_proxy else host
    return _of_settings(causes, host) or _of_tls(causes, whom) or _of_reaching(causes, whom) or NetworkFault(Hope.LONG)


def _of_settings(causes: Sequence[BaseException], host: str) -> NetworkFault | None:
    named = "the environment names a proxy (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY)"
    if any(isinstance(cause, InvalidHeader) for cause in causes):
        # Of the answer, not of the request.
        return NetworkFault(Hope.LONG)
    for cause in causes:
        if isinstance(cause, ProxySchemeUnknown):
            return NetworkFault(Hope.NONE, f"{named} of a scheme that is not known here: use http:// or https://")
        if isinstance(cause, InvalidProxyURL):
            return NetworkFault(Hope.NONE, f"{named} whose URL is none: write it like http://proxy.example:3128")
        if isinstance(cause, InvalidSchema) and "SOCKS" in str(cause):
            return NetworkFault(
                Hope.NONE, f"{named} that speaks SOCKS, which needs a package: pip install 'requests[socks]'"
            )
        refused = _TUNNEL_REFUSED.search(str(cause)) if isinstance(cause, OSError) else None
        if refused:
            return NetworkFault(
                Hope.NONE, f"{named} that refuses to connect to {host} ({refused[1]}): check its user and its rules"
            )
        if isinstance(cause, (LocationParseError, ValueError)) and not isinstance(cause, OSError):
            return NetworkFault(Hope.NONE, "the request can't be sent as it is: check the base URL")
    return None


def _of_tls(causes: Sequence[BaseException], whom: str) -> NetworkFault | None:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NetworkFault(
                Hope.NONE,
                f"the certificate of {whom} can't be verified ({cause.verify_message}): check the base URL and this "
                "machine's date, or set REQUESTS_CA_BUNDLE to a file with the certificates that you trust",
            )
        if isinstance(cause, ssl.SSLError) and _NO_COMMON_TLS.search(f"{cause.reason} {cause}"):
            return NetworkFault(
                Hope.NONE,
                f"no TLS connection to {whom} is possible: check the scheme and the port of its URL, and the versions "
                "of TLS that both sides allow",
            )
    return None


def _of_reaching(causes: Sequence[BaseException], whom: str) -> NetworkFault | None:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            if cause.errno in _UNKNOWN_NAME:
                return NetworkFault(Hope.NONE, f"there is no host of this name: {whom}. Check the URL for a slip")
            return NetworkFault(Hope.SHORT, f"the name of {whom} can't be looked up now: check this machine's network")
        if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
            return NetworkFault(
                Hope.SHORT, f"{whom} refuses connections: check the URL and its port, and that the server runs"
            )
    return None
