"""What has just been learnt of nodes: which are taken, which fail. The next start asks them last.

Fifty jobs that start at once see the same catalogue and rank it alike. Without a memory each of them asks the same node
that is taken, and waits the same twenty seconds for the same node that answers 500.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter
from collections.abc import Hashable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octa_provider.models import Machine, Session, VpnMachine
    from octa_provider.timing.clock import Clock

__all__ = ["NodeMemory", "Standing", "nodes_of"]

TAKEN_S = 30.0
FAILING_S = 300.0


class Standing(IntEnum):
    """How likely a node is to take a session, best first."""

    FREE = 0
    #: It has just refused, or the account's own sessions fill it.
    TAKEN = 1
    #: It has just answered in a way that left open whether it started something.
    FAILING = 2


class NodeMemory:
    """What this process knows of an account's nodes. Safe to share between threads.

    `now` is everywhere the time of a clock that only grows, in seconds.
    """

    def __init__(self) -> None:
        self._learnt: dict[int, tuple[Standing, float]] = {}
        self._occupied: Counter[int] = Counter()

    def refused(self, node_id: int, now: float) -> None:
        """A node has said clearly that it takes nothing now.

        Args:
            node_id: the node.
            now: the clock's `monotonic`, in seconds.
        """
        self._learnt[node_id] = (Standing.TAKEN, now + TAKEN_S)

    def failed(self, node_id: int, now: float) -> None:
        """A node's answer left open whether it started something.

        Args:
            node_id: the node.
            now: the clock's `monotonic`, in seconds.
        """
        self._learnt[node_id] = (Standing.FAILING, now + FAILING_S)

    def took(self, node_id: int) -> None:
        """A node has taken a session: it works."""
        self._learnt.pop(node_id, None)

    def saw(self, sessions: Iterable[Session]) -> None:
        """The account's active sessions, as a list has just shown them."""
        self._occupied = Counter(
            session.node_id for session in sessions if session.node_id is not None and session.service != "vpn"
        )

    def is_worth_asking(self, node_id: int, now: float) -> bool:
        """Whether a node has not just refused, nor answered in a way that left open whether it started something.

        What the account's own sessions fill counts for nothing here: nobody may have listed them for long.

        Args:
            node_id: the node.
            now: the clock's `monotonic`, in seconds.
        """
        standing, until = self._learnt.get(node_id, (Standing.FREE, 0.0))
        return standing is Standing.FREE or now >= until

    def standing(self, machine: Machine | VpnMachine, now: float) -> Standing:
        """What to expect of a machine now.

        Args:
            machine: as the catalogue offers it.
            now: the clock's `monotonic`, in seconds.
        """
        standing, until = self._learnt.get(machine.node_id, (Standing.FREE, 0.0))
        if standing is not Standing.FREE and now < until:
            return standing
        gpus = getattr(machine, "gpu_count", None)
        if gpus is not None and self._occupied[machine.node_id] >= max(1, gpus):
            return Standing.TAKEN
        return Standing.FREE


_lock = threading.Lock()
#: By clock as well: times of different clocks can't be compared.
_memories: weakref.WeakKeyDictionary[Clock, dict[Hashable, NodeMemory]] = weakref.WeakKeyDictionary()


def nodes_of(account: Hashable, clock: Clock) -> NodeMemory:
    """The memory that all clients of an account in this process share, as far as they have the same clock.

    Args:
        account: tells accounts apart, as `Transport.account` does.
        clock: the client's.
    """
    with _lock:
        return _memories.setdefault(clock, {}).setdefault(account, NodeMemory())


def _forget_in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # A fork may copy the lock while it is held.
    os.register_at_fork(after_in_child=_forget_in_child)
