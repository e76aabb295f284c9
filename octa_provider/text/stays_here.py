"""Objects that stay in their process: they can be pickled for a hash, and a copy says where it should have stayed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NoReturn

__all__ = ["stays_here"]


def stays_here(what: str) -> tuple[Callable[[str, str], NoReturn], tuple[str, str]]:
    """What `__reduce__` of such an object gives: nothing of it, and never the same twice.

    Orchestrators pickle a task's arguments to look for an earlier result; about what is live there is none.

    Args:
        what: the object in words, and where to make one instead.
    """
    return _refuse, (what, secrets.token_hex(16))


def _refuse(what: str, token: str) -> NoReturn:
    raise TypeError(f"{what}: it can't be sent to another process")
