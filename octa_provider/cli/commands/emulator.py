"""`octa-provider emulator`: the API on this machine. Its options live with it, in the extra `emulator`."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from octa_provider.cli.options.connection import tell

EXAMPLES = """examples:
  octa-provider emulator
  octa-provider emulator --port 0 --machines 100 --seed 1
  octa-provider emulator --fault '{"kind": "status", "status": 500, "path": "/services/mr", "times": 2}'

It prints one line of JSON with base_url and api_key when it serves, and ends with Ctrl-C.
"""


def add_parser(commands: Any, *, chosen: bool) -> None:
    """Describe the command.

    Args:
        commands: where it goes.
        chosen: whether this command is the one that will run. Otherwise its options are not loaded: they import the
            emulator, which takes long and may not be installed.
    """
    parser = commands.add_parser(
        "emulator",
        help="serve the API on this machine, with real processes behind it",
        description="Serve the OctaSpace API on this machine: sessions are real local processes.",
        epilog=EXAMPLES,
    )
    parser.set_defaults(run=_missing)
    if not chosen:
        return
    try:
        command = importlib.import_module("octa_provider.emulator.command")
    except ImportError:
        # Its arguments are unknown then: take them all, to say what is missing rather than that they are wrong.
        parser.add_argument("anything", nargs="*", help=argparse.SUPPRESS)
        parser.set_defaults(takes_anything=True)
        return
    command.add_arguments(parser)
    parser.set_defaults(run=command.run)


def _missing(arguments: argparse.Namespace) -> int:
    tell("octa-provider: the emulator is not installed: pip install 'octa-provider[emulator]'")
    return 1
