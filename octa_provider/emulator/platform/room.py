"""Whether a node takes a session: what it has room for, and in which words it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from octa_provider.emulator.platform.catalogue import Node
from octa_provider.emulator.platform.session import Order, Session

__all__ = ["OutOfFundsError", "RefusedError", "node_with_room"]

#: A VPN takes no room on a node but this much.
VPN_ROOM = 50


class RefusedError(Exception):
    """The node does not take the session.

    Attributes:
        reason: why, as the API says it.
        internal: whether this node says so by 500 INTERNAL_ERROR.
    """

    def __init__(self, reason: str, *, internal: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.internal = internal


class OutOfFundsError(Exception):
    """The balance is empty."""


def node_with_room(order: Order, nodes: Mapping[int, Node], running: Iterable[Session]) -> Node:
    """The node that takes an order.

    Args:
        order: what is asked for.
        nodes: the machines on offer, by id.
        running: the sessions that run now, on whatever node.

    Raises:
        RefusedError: the node does not exist, has no room, or is unavailable.
    """
    node = nodes.get(order.node_id)
    if node is None or not node.online:
        raise RefusedError("Node not found")
    if node.unavailable:
        raise RefusedError("Node is temporarily unavailable", internal=True)
    here = [session for session in running if session.order.node_id == node.node_id]
    if order.service == "vpn":
        full = sum(session.order.service == "vpn" for session in here) >= VPN_ROOM
    else:
        full = sum(session.order.service != "vpn" for session in here) >= node.room
    if full:
        raise RefusedError("Node is busy", internal=node.full_with_500)
    if sum(session.order.disk_gb for session in here) + order.disk_gb > node.disk_gb:
        raise RefusedError("Not enough disk space")
    return node
