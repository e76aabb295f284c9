"""`octa-provider reap`: find sessions that were left behind, and stop them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.connection import add_connection_options, open_client, tell
from octa_provider.cli.options.durations import seconds
from octa_provider.cli.output.listing import add_json_option, print_json, print_table
from octa_provider.cli.output.wording import shown_octa
from octa_provider.text.quantities import counted, shown_duration

if TYPE_CHECKING:
    from octa_provider.rental.reap import Reaped

EXAMPLES = """examples:
  octa-provider reap                                        what was started with a rental key and still runs
  octa-provider reap --prefix airflow/nightly --older-than 6h
  octa-provider reap --prefix cli --older-than 1d --yes     stop them
  octa-provider reap --max-age 2d --yes                     what nobody should still be running

From a shell nobody can tell which owner still lives: narrow it by --prefix and --older-than, and look before --yes.
Sessions that were started without a rental key (in the web console, by another tool) are never touched, nor are those
of other namespaces (installations), unless --any-namespace says so.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "reap",
        help="find sessions that were left behind, and stop them",
        description="List sessions with a rental key that match. They are stopped only with --yes.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "--prefix", default="", metavar="KEY", help="only rental keys that begin so, by whole segments: airflow/nightly"
    )
    parser.add_argument(
        "--older-than",
        type=seconds,
        metavar="DURATION",
        help="only sessions that have run so long: 90s, 20m, 2h",
    )
    parser.add_argument(
        "--max-age",
        type=seconds,
        metavar="DURATION",
        help="sessions of this namespace that have run so long, whoever owns them, and alone none that are younger",
    )
    parser.add_argument(
        "--any-namespace",
        action="store_true",
        help="also what other installations on this account have started; --prefix is then a whole key's beginning",
    )
    parser.add_argument("--yes", action="store_true", help="stop them; needs --prefix, --older-than or --max-age")
    add_json_option(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List what would be stopped, or stop it. Returns 1 when some could not be stopped."""
    if arguments.yes and not arguments.prefix and arguments.older_than is None and arguments.max_age is None:
        tell("--yes would stop every session with a key, also those at work: say which by --prefix or --older-than")
        return 2
    # With an age alone that nobody may reach, everything younger counts as at work.
    at_work = arguments.max_age is not None and arguments.older_than is None
    with open_client(arguments) as octa:
        reaped = octa.rentals.reap(
            arguments.prefix,
            older_than_s=arguments.older_than or 0.0,
            max_age_s=arguments.max_age,
            is_alive=lambda key: at_work,
            any_namespace=arguments.any_namespace,
            dry_run=not arguments.yes,
        )
    if arguments.json:
        print_json(reaped)
    elif reaped.orphans:
        print_table((*_COLUMNS, *(("stopped",) if arguments.yes else ())), _rows(reaped, stopped=arguments.yes))
    _tell_result(reaped, stopped=arguments.yes)
    return 1 if reaped.failed else 0


_COLUMNS = ("uuid", ">node", ">age", ">cost", "rental key")


def _rows(reaped: Reaped, *, stopped: bool) -> list[tuple[object, ...]]:
    return [
        (
            orphan.uuid,
            orphan.node_id,
            shown_duration(orphan.age_s),
            shown_octa(orphan.charge_wei),
            orphan.key,
            *((("no" if orphan.uuid in reaped.failed else "yes"),) if stopped else ()),
        )
        for orphan in reaped.orphans
    ]


def _tell_result(reaped: Reaped, *, stopped: bool) -> None:
    kept = f"{counted(reaped.kept, 'other session')} with a rental key left alone"
    if not reaped.orphans:
        tell(f"nothing to stop; {kept}")
    elif not stopped:
        tell(f"would stop {counted(len(reaped.orphans), 'session')}: add --yes to do it; {kept}")
    elif reaped.failed:
        tell(
            f"octa-provider: {counted(len(reaped.failed), 'session')} could not be stopped in time and may still be "
            "billed: run it again"
        )
    else:
        tell(f"stopped {counted(len(reaped.stopped), 'session')}; {kept}")
