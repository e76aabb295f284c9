"""The options that every command that talks to the API has, and the client that they give.

The key comes from the environment or from a file. It is no option: what stands on a command line is shown to every user
of the machine by `ps`, and stays in the shell's history.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.cli.output.streams import drop
from octa_provider.errors import OctaConfigError

if TYPE_CHECKING:
    from octa_provider import OctaClient

MASK = "***"


class _RefuseKey(argparse.Action):
    """`--api-key KEY` does not exist, and must not be repeated in an error as an unknown argument would be."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        parser.error(
            "a key on the command line is shown to everybody by ps: put it into the environment variable OCTA_API_KEY, "
            "or into a file and pass --api-key-file PATH"
        )


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """The options, without defaults: they can stand before and after the command, and neither undoes the other."""
    group = parser.add_argument_group("connection (the key comes from OCTA_API_KEY or --api-key-file)")
    group.add_argument(
        "--base-url",
        metavar="URL",
        default=argparse.SUPPRESS,
        help="where the API is served, several separated by commas (default: OCTA_BASE_URL, else the live API)",
    )
    group.add_argument(
        "--api-key-file", metavar="PATH", default=argparse.SUPPRESS, help="file whose first line is the API key"
    )
    group.add_argument(
        "--namespace",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="whose rental keys: what other installations on this account have started is left alone "
        "(default: OCTA_NAMESPACE, else none)",
    )
    group.add_argument("--api-key", nargs="?", action=_RefuseKey, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    group.add_argument(
        "--verbose", action="store_true", default=argparse.SUPPRESS, help="say on standard error what is being done"
    )


def api_key(arguments: argparse.Namespace) -> str | None:
    """The key that these arguments and the environment give; None when there is none.

    Raises:
        OctaConfigError: the file can't be read, or is empty. Neither its path nor its content is in the error.
    """
    path = getattr(arguments, "api_key_file", None)
    if path is None:
        return (os.environ.get("OCTA_API_KEY") or "").strip() or None
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        # The path may be a key that was given by mistake.
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise OctaConfigError(f"the file of --api-key-file can't be read: {why}") from None
    if not text:
        raise OctaConfigError("the file of --api-key-file is empty: write the API key into it")
    return text.splitlines()[0].strip()


def open_client(arguments: argparse.Namespace, **options: Any) -> OctaClient:
    """The client that the arguments ask for.

    Raises:
        OctaConfigError: there is no key, or a setting that can't work.
    """
    key = api_key(arguments)
    if key is None:
        raise OctaConfigError(
            "no API key: put it into the environment variable OCTA_API_KEY, or into a file and pass --api-key-file PATH"
        )
    from octa_provider import OctaClient

    return OctaClient(
        key,
        base_url=getattr(arguments, "base_url", None),
        namespace=getattr(arguments, "namespace", None),
        organization_id=getattr(arguments, "organization_id", None),
        project_id=getattr(arguments, "project_id", None),
        **options,
    )


def tell(text: str) -> None:
    """A message for the person at the terminal: on standard error, so that standard output stays what was asked for.

    With nobody there to read it, it is lost: that must not keep a machine from being stopped.
    """
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        drop(sys.stderr)


def masked(text: str, key: str | None) -> str:
    """The text without the key. Errors hold none; this is the second lock on the same door."""
    return text.replace(key, MASK) if key else text


def masked_by(arguments: argparse.Namespace, text: str) -> str:
    """The text without the key that these arguments give."""
    try:
        key = api_key(arguments)
    except OctaConfigError:
        key = None
    return masked(text, key)
