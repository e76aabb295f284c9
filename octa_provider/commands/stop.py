"""`octa-provider stop`: stop a session, or a rental key's, and see it gone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from octa_provider.commands.connection import add_connection_options, open_client, tell
from octa_provider.commands.durations import positive_seconds, shown_duration
from octa_provider.commands.wording import shown_cost, shown_text
from octa_provider.errors import OctaConfigError

if TYPE_CHECKING:
    from octa_provider.client import OctaClient
    from octa_provider.rental import Bill

EXAMPLES = """examples:
  octa-provider stop 0f1f7f4e-6b0c-4d35-9a49-3a5f6f1f3c11
  octa-provider stop --key cli/ada@studio/k3v9x2 --score 5
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "stop",
        help="stop a session, or all of a rental key",
        description="Stop a session and wait until it has been seen gone. Stopping twice is harmless.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("uuid", nargs="?", metavar="UUID", help="the session")
    which.add_argument("--key", help="the rental key: every session of it is stopped")
    parser.add_argument("--score", type=int, choices=range(1, 6), metavar="1-5", help="what the machine was worth")
    parser.add_argument(
        "--deadline",
        type=positive_seconds,
        default=300.0,
        metavar="DURATION",
        help="how long to try through outages (default: 5m)",
    )
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Stop and print the bill. Returns 1 for a uuid that nobody knows."""
    if arguments.uuid == "":
        raise OctaConfigError("the uuid is empty: list yours with `octa-provider sessions`")
    with open_client(arguments) as octa:
        if arguments.key is not None:
            return _stop_key(octa, arguments.key, arguments.score, arguments.deadline)
        bill = octa.rentals.open(arguments.uuid).stop(score=arguments.score, deadline_s=arguments.deadline)
    if bill.charge_wei is None and bill.duration_s is None:
        tell(f"octa-provider: no session {shown_text(bill.uuid)} runs or ran lately: see `octa-provider sessions`")
        return 1
    _print_bill(bill)
    return 0


def _stop_key(octa: OctaClient, key: str, score: int | None, deadline_s: float) -> int:
    rental = octa.rentals.find(key) if score is not None else None
    if rental is not None:
        bills: tuple[Bill, ...] = (rental.stop(score=score, deadline_s=deadline_s),)
    else:
        bills = octa.rentals.stop(key, deadline_s=deadline_s)
    for bill in bills:
        _print_bill(bill)
    if not bills:
        tell(f"no session of {shown_text(key)} runs")
    return 0


def _print_bill(bill: Bill) -> None:
    cost = shown_cost(bill.charge_wei, bill.charge_usd)
    print(f"stopped {shown_text(bill.uuid)}: {cost}, ran {shown_duration(bill.duration_s)}")
