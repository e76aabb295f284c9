"""Whether it is our key that opens no machine, or a machine that does not let us in."""

from __future__ import annotations

import threading

__all__ = ["Logins"]


class Logins:
    """Which machines let us in. Used by all machines' threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_worked = False
        self._refused: set[int] = set()

    def worked(self) -> None:
        """A machine has taken our key."""
        with self._lock:
            self._has_worked = True

    def refused(self, node_id: int) -> bool:
        """A machine has not taken our key; returns whether none will: two have refused it, and none has taken it.

        Args:
            node_id: which.
        """
        with self._lock:
            self._refused.add(node_id)
            return not self._has_worked and len(self._refused) > 1
