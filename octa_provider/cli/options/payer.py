"""Who pays for what a command rents, where that is an organisation."""

from __future__ import annotations

import argparse

__all__ = ["add_payer_options"]


def add_payer_options(parser: argparse.ArgumentParser) -> None:
    """The options of the commands that rent.

    Args:
        parser: the command's.
    """
    parser.add_argument(
        "--organization-id",
        metavar="ID",
        help="the organisation that pays (default: OCTA_ORGANIZATION_ID, else the account itself)",
    )
    parser.add_argument(
        "--project-id", metavar="ID", help="for which of its projects (default: OCTA_PROJECT_ID, else none)"
    )
