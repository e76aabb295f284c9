"""What an earlier run of the batch has left running: the API knows, whatever was written down."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from octa_provider.rental.key import split_namespace

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.batch.run.parts import BatchParts
    from octa_provider.models import Session

__all__ = ["sessions_of_batch"]

_NUMBER = re.compile(r"m([0-9]{1,9})")


def sessions_of_batch(api: Api, parts: BatchParts) -> dict[int, Session]:
    """The active sessions of a batch, by their machine's number.

    A platform that does not echo environments tells no keys: then those whose uuid was written down are found.

    Args:
        api: the API.
        parts: of the batch.
    """
    known = {uuid: number for number, (_, uuid) in parts.folder.open_rentals.items() if uuid is not None}
    found: dict[int, Session] = {}
    for session in api.sessions.list():
        number = known.get(session.uuid)
        if session.rental_key is not None:
            key = split_namespace(session.rental_key, parts.api.namespace)
            begin, _, end = (key or "").rpartition("/")
            match = _NUMBER.fullmatch(end)
            number = int(match[1]) if match and begin == parts.prefix else None
        if number is not None:
            found.setdefault(number, session)
    return found
