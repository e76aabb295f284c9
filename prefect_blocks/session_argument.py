"""What a task takes as its `session`, read back as the core's handle on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.rental.rental import Rental
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider import OctaClient

__all__ = ["SessionArgument", "as_known", "rental_of"]

#: Events do not wait longer for what the API tells of a session.
ANSWER_S = 10.0

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


def as_known(client: OctaClient, rental: Rental) -> Rental:
    """A session as events tell of it: of one that is known by its uuid the API is asked for the rest.

    Args:
        client: the account.
        rental: the session; it may have ended a moment ago.

    Returns:
        What is known of it; where the API does not answer, what was known before.
    """
    if rental.node_id is not None:
        return rental
    try:
        seen = client.within(Deadline(client.clock, ANSWER_S)).rentals.look_up(rental.uuid)
    except OctaError:
        return rental
    if seen is None:
        return rental
    told = msgspec.structs.replace(
        rental.terms,
        node_id=seen.session.node_id,
        key=seen.key or rental.key,
        price_usd=rental.price_usd or seen.price_usd,
        labels=rental.labels or dict(seen.labels),
    )
    return Rental.of(told, None)
