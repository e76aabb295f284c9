"""`octa-provider logs`: what a session printed, once or as it comes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.connection import add_connection_options, open_client, tell
from octa_provider.cli.options.durations import positive_seconds
from octa_provider.cli.output.wording import shown_text, shown_time
from octa_provider.errors import OctaNotFoundError

if TYPE_CHECKING:
    from octa_provider.client import OctaClient

EXAMPLES = """examples:
  octa-provider logs 0f1f7f4e-6b0c-4d35-9a49-3a5f6f1f3c11
  octa-provider logs -f 0f1f7f4e-6b0c-4d35-9a49-3a5f6f1f3c11
  octa-provider logs --system 0f1f7f4e-6b0c-4d35-9a49-3a5f6f1f3c11

Control characters and terminal escapes are taken out, whatever the session prints.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "logs",
        help="print a session's log, or follow it",
        description="Print what a session's container printed so far; also of one that has finished lately.",
        epilog=EXAMPLES,
    )
    parser.add_argument("uuid", metavar="UUID", help="the session")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("-f", "--follow", action="store_true", help="go on with new lines until the session ends")
    what.add_argument("--system", action="store_true", help="what the platform says about the session instead")
    parser.add_argument(
        "--poll",
        type=positive_seconds,
        default=5.0,
        metavar="DURATION",
        help="between two looks of --follow (default: 5s)",
    )
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the log. Returns 1 for a uuid that nobody knows."""
    from octa_provider.logs.session_log import SessionLog

    uuid = arguments.uuid
    with open_client(arguments) as octa:
        if not _is_known(octa, uuid):
            tell(f"octa-provider: no session {shown_text(uuid)} runs or ran lately: see `octa-provider sessions`")
            return 1
        log = SessionLog(octa, uuid)
        for line in log.follow(poll_s=arguments.poll) if arguments.follow else log.last_lines():
            if not arguments.system:
                print(line, flush=arguments.follow)
        if arguments.system:
            for entry in log.system:
                print(f"{shown_time(entry.at)}  {shown_text(entry.message)}")
    return 0


def _is_known(octa: OctaClient, uuid: str) -> bool:
    try:
        octa.services.session(uuid).info()
    except OctaNotFoundError:
        # An ended session's info goes first, and a new one's may come late.
        return any(session.uuid == uuid for recent in (False, True) for session in octa.sessions.list(recent=recent))
    return True
