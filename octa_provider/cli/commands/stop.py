"""`octa-provider stop`: stop sessions, or all of a rental key's, and see them gone."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.connection import add_connection_options, open_client, tell
from octa_provider.cli.options.durations import positive_seconds
from octa_provider.cli.options.numbers import whole_number
from octa_provider.cli.output.shell_words import worded
from octa_provider.cli.output.wording import shown_cost, shown_text
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.text.quantities import shown_duration

if TYPE_CHECKING:
    from octa_provider.client import OctaClient
    from octa_provider.models import Records, Session
    from octa_provider.rental.terms import Bill
    from octa_provider.timing.deadline import Deadline

EXAMPLES = """examples:
  octa-provider stop 0f1f7f4e-6b0c-4d35-9a49-3a5f6f1f3c11
  octa-provider stop cli/ada@studio/k3v9x2 --score 5
  octa-provider stop $(octa-provider sessions --json | jq -r '.[].uuid')

A rental key is taken as any message or list shows it, with or without the namespace: every session of it is stopped.
"""

#: So many are stopped at the same time.
AT_ONCE = 16


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "stop",
        help="stop sessions, or all of a rental key",
        description="Stop sessions and wait until they have been seen gone. Stopping twice is harmless.",
        epilog=EXAMPLES,
    )
    parser.add_argument("what", nargs="*", metavar="UUID|KEY", help="sessions, or rental keys")
    parser.add_argument("--key", action="append", default=[], help="a rental key that has no slash; else as above")
    parser.add_argument(
        "--score", type=whole_number, choices=range(1, 6), metavar="1-5", help="what the machine was worth"
    )
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
    """Stop and print the bills. Returns 1 when something could not be stopped, or for a uuid that nobody knows."""
    words = [(word.strip(), False) for word in arguments.what] + [(word.strip(), True) for word in arguments.key]
    if not words:
        raise OctaConfigError("say what to stop: list yours with `octa-provider sessions`")
    if any(not word for word, _ in words):
        raise OctaConfigError("a uuid or key is empty: list yours with `octa-provider sessions`")
    from octa_provider.timing.asking import ask_until
    from octa_provider.timing.deadline import Deadline

    with open_client(arguments) as octa:
        deadline = Deadline(octa.clock, arguments.deadline)
        active = ask_until(deadline, octa.within(deadline).sessions.list)
        stop = partial(_stop, octa, active, deadline, arguments.score)
        if len(words) == 1:
            return stop(words[0])
        with ThreadPoolExecutor(min(AT_ONCE, len(words)), "octa-stop") as threads:
            statuses = list(threads.map(partial(_told, arguments, stop), dict.fromkeys(words)))
    return max(statuses)


def _told(arguments: argparse.Namespace, stop: Any, word: tuple[str, bool]) -> int:
    """One of several: what goes wrong with it is told, and keeps none of the others from being stopped."""
    try:
        return int(stop(word))
    except OctaError as error:
        tell(f"octa-provider: {worded(arguments, str(error))}")
        return 1


def _stop(
    octa: OctaClient, active: Records[Session], deadline: Deadline, score: int | None, word: tuple[str, bool]
) -> int:
    from octa_provider.rental.mark import RentalMark, runs_under
    from octa_provider.rental.stop import stop_command

    name, is_key = word
    left_s = max(deadline.left_s, 1.0)
    own = octa.rentals.full_key(name)
    if any(runs_under(session, own, octa.namespace) for session in active):
        # The own namespace comes first: without it the same name may be another installation's.
        return _stop_key(octa, name, score, left_s)
    foreign = [s for s in active if s.rental_key == name and not runs_under(s, own, octa.namespace)]
    bare = [s for s in foreign if (mark := RentalMark.of(s)) is not None and not mark.namespace]
    if bare and octa.namespace:
        tell(
            f"octa-provider: {shown_text(name)} runs in no namespace, so it is not {shown_text(octa.namespace)}'s. "
            f"To stop it all the same: {stop_command([s.uuid for s in bare])}"
        )
        return 1
    if foreign:
        # Pasted from a list: another namespace's, which is its whole name.
        first, *others = [session.uuid for session in foreign]
        _print_bill(octa.rentals.restore({"uuid": first, "key": name}).stop(score=score, deadline_s=left_s))
        for uuid in others:
            _print_bill(octa.rentals.open(uuid).stop(deadline_s=left_s))
        return 0
    if is_key or "/" in name:
        status = _stop_key(octa, name, score, left_s)
        elsewhere = [s for s in active if (mark := RentalMark.of(s)) and s.rental_key == f"{mark.namespace}/{name}"]
        for session in elsewhere:
            # A message may have named the work alone, and "no session runs" is not all there is to know.
            tell(
                f"octa-provider: {shown_text(session.rental_key)} runs, in another namespace, and is left alone. "
                f"To stop it all the same: {shown_text(stop_command([session.uuid]))}"
            )
        return 1 if elsewhere else status
    bill = octa.rentals.stop_only(name, score=score, deadline_s=left_s)
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
        unknown = [intent for intent in octa.intents.read(octa.rentals.full_key(key)) if intent.uuid is None]
        for intent in unknown:
            tell(
                f"octa-provider: a request of {shown_text(key)} for a {intent.service} session on node "
                f"{intent.node_id} got no answer: what it may have left does not tell this key. Look for it: "
                "octa-provider sessions, and stop it by its uuid: octa-provider stop UUID"
            )
    for bill in bills:
        _print_bill(bill)
    if not bills:
        tell(f"no session of {shown_text(key)} runs")
    return 0


def _print_bill(bill: Bill) -> None:
    cost = shown_cost(bill.charge_wei, bill.charge_usd)
    print(f"stopped {shown_text(bill.uuid)}: {cost}, ran {shown_duration(bill.duration_s)}")
