"""`octa-provider sessions`: what this account has running, and what it had."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.connection import add_connection_options, open_client, tell
from octa_provider.cli.options.job_parts import label
from octa_provider.cli.output.listing import add_json_option, plain, print_json, print_table
from octa_provider.cli.output.wording import shown_cost, shown_time
from octa_provider.text.quantities import counted, shown_duration
from octa_provider.wire.labels import label_texts
from octa_provider.wire.money import usd_of

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.timing.clock import Clock

EXAMPLES = """examples:
  octa-provider sessions
  octa-provider sessions --recent
  octa-provider sessions --label project=atlas
  octa-provider sessions --json | jq -r '.[].uuid'
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "sessions",
        help="list the sessions that run, or ran",
        description="List the account's active sessions, the oldest first. What is listed here is billed.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--recent", action="store_true", help="those that have finished lately instead")
    parser.add_argument(
        "--label",
        type=label,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only those with this label; given more than once, only those with all of them",
    )
    add_json_option(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List sessions."""
    with open_client(arguments) as octa:
        listed = octa.sessions.list(recent=arguments.recent)
    if listed.odd:
        tell(
            f"octa-provider: {counted(len(listed.odd), 'session')} could not be read: not shown, "
            "though billed like any other"
        )
    # The API's recent list holds active ones too: what has an end has ended.
    wanted = [session for session in listed if session.finished_at is not None or not arguments.recent]
    wanted = [session for session in wanted if dict(arguments.label).items() <= session.labels.items()]
    sessions = sorted(wanted, key=lambda s: (s.started_at is None, s.started_at, s.uuid))
    if arguments.json:
        # The environment itself stays out: it may hold secrets.
        print_json(
            [
                {
                    **plain(s),
                    "rental_key": s.rental_key,
                    "namespace": _namespace(s),
                    "phase": s.phase.value,
                    "labels": s.labels,
                }
                for s in sessions
            ]
        )
    elif not sessions:
        those = "no session with such labels" if arguments.label else "no session"
        tell(f"{those} has finished lately" if arguments.recent else f"{those} runs")
    elif arguments.recent:
        _print(_RECENT_COLUMNS, sessions, _recent_row)
    else:
        _print(_COLUMNS, sessions, partial(_row, clock=octa.clock))
    return 0


_COLUMNS = ("uuid", "service", ">node", "started", ">age", "progress", ">cost", "namespace", "rental key")
_RECENT_COLUMNS = ("uuid", "service", ">node", "finished", ">ran", "ended by", ">cost", "namespace", "rental key")


def _print(columns: Sequence[str], sessions: Sequence[Session], row: Callable[[Session], tuple[object, ...]]) -> None:
    labels = [", ".join(label_texts(session.labels)) for session in sessions]
    # Where nobody has labelled anything, the table stays as narrow as it was.
    told = any(labels)
    rows = [(*row(one), text) if told else row(one) for one, text in zip(sessions, labels, strict=True)]
    print_table((*columns, "labels") if told else columns, rows)


def _row(session: Session, clock: Clock) -> tuple[object, ...]:
    from octa_provider.rental.cost import age_s

    return (
        session.uuid,
        session.service,
        session.node_id,
        shown_time(session.started_at),
        shown_duration(age_s(session, clock)),
        session.progress,
        _cost(session),
        _namespace(session),
        session.rental_key,
    )


def _recent_row(session: Session) -> tuple[object, ...]:
    return (
        session.uuid,
        session.service,
        session.node_id,
        shown_time(session.finished_at),
        shown_duration(session.duration_s),
        session.ended_because,
        _cost(session),
        _namespace(session),
        session.rental_key,
    )


def _namespace(session: Session) -> str | None:
    """The installation that started it, as far as it tells; None where it tells none."""
    from octa_provider.rental.mark import RentalMark

    mark = RentalMark.of(session)
    return (mark.namespace or None) if mark is not None else None


def _cost(session: Session) -> str:
    market = None if session.prices is None else session.prices.market_price
    wei = session.charge_wei
    return shown_cost(wei, None if market is None or wei is None else usd_of(wei, market))
