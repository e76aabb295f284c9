"""A session in the words of a log: which one it is, on which node, at what price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.wire.money import price_text

if TYPE_CHECKING:
    from octa_provider.rental.terms import Terms

__all__ = ["LOG_FOLLOWS", "session_text", "started_text"]

#: Ends the sentence about a session that has failed, where the last lines of its log follow.
LOG_FOLLOWS = ". Its system log ends:"


def session_text(terms: Terms) -> str:
    """A session by its uuid, its node and, where known, its price: `<uuid> on node 7 at 0.42 USD/h`.

    Args:
        terms: what its rental is known by.
    """
    price = "" if terms.price_usd is None else f" at {price_text(terms.price_usd)}"
    return f"{terms.uuid} on node {terms.node_id}{price}"


def started_text(terms: Terms) -> str:
    """What a start came to: `Started session <uuid> on node 7 at 0.42 USD/h`, or `Adopted session ...`.

    Args:
        terms: as the start returned them.
    """
    return f"{'Adopted' if terms.adopted else 'Started'} session {session_text(terms)}"
