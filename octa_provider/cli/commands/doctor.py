"""`octa-provider doctor`: is everything in place to rent a machine, and if not, what to do."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from octa_provider.cli.options.connection import add_connection_options, api_key, masked
from octa_provider.cli.output.listing import add_json_option, print_json
from octa_provider.cli.output.shell_words import in_shell_words
from octa_provider.cli.output.streams import takes_unicode
from octa_provider.cli.output.wording import counted, shown_octa, shown_text
from octa_provider.errors import OctaConfigError, OctaError, OctaNetworkError

if TYPE_CHECKING:
    from octa_provider.client import OctaClient

#: Ages and deadlines are told by comparing the API's times with ours.
MAX_SKEW_S = 30.0
TIMEOUT_S = 10.0
EXTRAS = {
    "ssh": ("asyncssh", "jobs with files"),
    "emulator": ("aiohttp", "octa-provider emulator"),
    "pictures": ("OpenImageIO", "octa-provider frames --decode"),
    "airflow": ("airflow", "Airflow operators"),
}

EXAMPLES = """examples:
  octa-provider doctor
  octa-provider doctor --json
"""


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


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor",
        help="check the connection, the key, the balance and the clock",
        description="Check everything that renting needs. Spends nothing. Exit status 1 when something is wrong.",
        epilog=EXAMPLES,
    )
    add_json_option(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything. Returns 1 when something is wrong."""
    key: str | None = None
    findings: list[Finding] = [*_installation()]
    try:
        key = api_key(arguments)
        findings += _api(key, getattr(arguments, "base_url", None))
    except OctaConfigError as error:
        findings.append(Finding(False, "settings", str(error)))
    findings = [Finding(f.ok, f.name, in_shell_words(masked(f.text, key))) for f in findings]
    if arguments.json:
        print_json(findings)
    else:
        marks = _marks()
        for finding in findings:
            print(f"{marks[finding.ok]} {finding.name:<10} {shown_text(finding.text)}")
    return 1 if any(finding.ok is False for finding in findings) else 0


def _installation() -> Iterator[Finding]:
    try:
        own = version("octa-provider")
    except PackageNotFoundError:
        own = "of an unknown version"
    yield Finding(None, "version", f"octa-provider {own}, Python {platform.python_version()}, {platform.system()}")
    for extra, (module, use) in EXTRAS.items():
        if find_spec(module) is not None:
            yield Finding(None, "extra", f"{extra} is installed ({use})")
        else:
            yield Finding(None, "extra", f"{extra} is not installed ({use}): pip install 'octa-provider[{extra}]'")


def _api(key: str | None, base_url: str | None) -> Iterator[Finding]:
    from octa_provider import OctaClient

    took_s: list[float] = []
    with OctaClient(
        key or "",
        base_url=base_url,
        timeout=TIMEOUT_S,
        retries=1,
        on_response=lambda answered: took_s.append(answered.duration_s),
    ) as octa:
        try:
            # Public: it tells a connection that fails from a key that does.
            octa.network.get()
        except OctaError as error:
            yield Finding(False, "connection", f"{octa.base_url}: {error}. {_connection_advice(error)}")
            return
        yield Finding(True, "connection", f"{octa.base_url} answers in {took_s[-1] * 1000:.0f} ms")
        yield _tls(octa.base_url)
        yield _clock(_skew(octa.base_url))
        if key is None:
            yield Finding(
                False,
                "key",
                "there is none: put it into the environment variable OCTA_API_KEY, or into a file and pass "
                "--api-key-file PATH",
            )
            return
        yield from _account(octa)


def _account(octa: OctaClient) -> Iterator[Finding]:
    try:
        wei = octa.accounts.balance().balance_wei
    except OctaError as error:
        yield Finding(False, "key", str(error))
        return
    yield Finding(True, "key", "is accepted")
    if wei is None:
        yield Finding(None, "balance", "the API does not tell it")
    elif wei <= 0:
        yield Finding(False, "balance", f"{shown_octa(wei)}: nothing can be rented, top the account up")
    else:
        yield Finding(True, "balance", shown_octa(wei))
    try:
        sessions = octa.sessions.list()
    except OctaError as error:
        yield Finding(False, "sessions", str(error))
        return
    keyed = sum(1 for s in sessions if s.rental_key)
    text = "none runs" if not sessions else f"{counted(len(sessions), 'runs', 'run')}, {keyed} with a rental key"
    yield Finding(None, "sessions", text)


def _skew(base_url: str) -> float | None:
    """Seconds that this machine's clock is ahead of the API's; None when it can't be told."""
    import requests

    from octa_provider.http.session import new_session

    with new_session((base_url,)) as session:
        try:
            with session.get(f"{base_url}/network", timeout=TIMEOUT_S, stream=True, allow_redirects=False) as answer:
                now = datetime.now(timezone.utc)
                said = parsedate_to_datetime(answer.headers["Date"])
        except (requests.RequestException, KeyError, ValueError):
            return None
    # The header has whole seconds: on average its moment is half a second later than it says.
    return (now - said.astimezone(timezone.utc)).total_seconds() - 0.5


def _clock(skew_s: float | None) -> Finding:
    if skew_s is None:
        return Finding(None, "clock", "the API's answer has no date to compare with")
    if abs(skew_s) <= MAX_SKEW_S:
        return Finding(True, "clock", "agrees with the API's")
    direction = "ahead of" if skew_s > 0 else "behind"
    return Finding(
        False, "clock", f"this machine is {abs(skew_s):.0f} s {direction} the API: set its clock (NTP), ages are wrong"
    )


def _tls(base_url: str) -> Finding:
    if urlsplit(base_url).scheme == "https":
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return Finding(True, "TLS", f"verified{f' against {bundle}' if bundle else ''}")
    return Finding(None, "TLS", "not used: the API is on this machine")


def _connection_advice(error: OctaError) -> str:
    if "CERTIFICATE" in str(error).upper() or "SSL" in str(error).upper():
        return "Is there a proxy that opens TLS? Then name its certificates in REQUESTS_CA_BUNDLE"
    if isinstance(error, OctaNetworkError):
        return "Check the network, the proxy settings, and OCTA_BASE_URL or --base-url"
    return "Check OCTA_BASE_URL or --base-url: does the OctaSpace API live there?"


def _marks() -> dict[bool | None, str]:
    if takes_unicode(sys.stdout):
        return {True: "✓", False: "✗", None: "-"}
    return {True: "ok  ", False: "FAIL", None: "-   "}
