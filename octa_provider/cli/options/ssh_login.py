"""The SSH key that a machine is logged in to with, looked at before any is rented."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from octa_provider.errors import OctaConfigError

__all__ = ["add_ssh_key_option", "check_ssh_login"]


def add_ssh_key_option(parser: argparse.ArgumentParser) -> None:
    """`--ssh-key`; `check_ssh_login` looks at it."""
    parser.add_argument(
        "--ssh-key",
        type=Path,
        metavar="PATH",
        help="private key file (default: OCTA_SSH_KEY_FILE, the agent, ~/.ssh)",
    )


def check_ssh_login(arguments: argparse.Namespace) -> None:
    """See that there is a key, and what uses it.

    Raises:
        OctaConfigError: one of both is missing.
    """
    from octa_provider.files.local_files import expanded
    from octa_provider.remote.target import check_key, ssh_key

    if arguments.ssh_key is not None and not expanded(arguments.ssh_key).is_file():
        raise OctaConfigError(f"the SSH key {arguments.ssh_key} is not a file")
    if find_spec("asyncssh") is None:
        raise OctaConfigError("machines are used over SSH, which is not installed: pip install 'octa-provider[ssh]'")
    check_key(ssh_key(arguments.ssh_key))
