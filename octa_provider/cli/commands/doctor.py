"""`octa-provider doctor`: is everything in place to rent a machine, and if not, what to do."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.connection import add_connection_options, api_key, masked
from octa_provider.cli.output.finding import Finding, clock_finding, connection_advice, marks_for, tls_finding
from octa_provider.cli.output.listing import add_json_option, print_json
from octa_provider.cli.output.orchestrator_findings import orchestrator_findings
from octa_provider.cli.output.shell_words import in_shell_words
from octa_provider.cli.output.wording import shown_octa, shown_text
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.text.quantities import counted

if TYPE_CHECKING:
    from octa_provider.client import OctaClient

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


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor",
        help="check the connection, the key, the balance, the clock, and Airflow or Prefect",
        description="Check everything that renting needs, and what Airflow or Prefect need beside it, where they are "
        "installed. Spends nothing. Exit status 1 when something is wrong.",
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
    findings += orchestrator_findings()
    findings = [Finding(f.ok, f.name, in_shell_words(masked(f.text, key))) for f in findings]
    if arguments.json:
        print_json(findings)
    else:
        marks = marks_for(sys.stdout)
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
    from octa_provider.http.clock_skew import clock_skew_s

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
            yield Finding(False, "connection", f"{octa.base_url}: {error}. {connection_advice(error)}")
            return
        yield Finding(True, "connection", f"{octa.base_url} answers in {took_s[-1] * 1000:.0f} ms")
        yield tls_finding(octa.base_url)
        yield clock_finding(clock_skew_s(octa.base_url, TIMEOUT_S))
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
