"""What a task takes as its `session`, read back as the core's handle on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from octa_provider.errors import OctaConfigError

if TYPE_CHECKING:
    from octa_provider import OctaClient, Rental

__all__ = ["SessionArgument", "rental_of"]

#: What a start task returned, or a uuid.
SessionArgument: TypeAlias = "str | Mapping[str, Any]"


def rental_of(client: OctaClient, session: SessionArgument, *, to_stop: bool = False) -> Rental:
    """The core's handle on a session.

    Args:
        client: the account.
        session: what a start task returned, or a uuid.
        to_stop: for a stop, which a damaged state must not keep from happening.

    Raises:
        OctaConfigError: it is neither.
    """
    if isinstance(session, str) and session:
        return client.rentals.open(session)
    if isinstance(session, Mapping) and session.get("uuid"):
        return client.rentals.restore(session, to_stop=to_stop)
    raise OctaConfigError("session must be what a start task returned, or a session's uuid")
