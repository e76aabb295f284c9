"""The rental key of a job that is given none."""

from __future__ import annotations

import getpass
import os
import secrets
import socket

from octa_provider.rental.key import rental_key

__all__ = ["new_key"]


def new_key() -> str:
    """A key that no other job has: of this user, on this machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # In a container the user may have no name.
        user = str(os.getuid())
    return rental_key("cli", f"{user}@{socket.gethostname() or 'localhost'}", secrets.token_hex(5))
