"""How many logs are read at one look at the list: few, however many jobs run.

The API tells a log as a whole and never whether there is more of it, so that following a log is a request each time.
All that follow jobs of an account in this process share a number of reads. Who has been due for longest is first. A job
that speaks is due more often than one that is quiet: see `look_pause_s`.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Hashable

__all__ = ["READS_A_LOOK", "READS_A_MINUTE", "LogReads"]

#: With a look every five seconds that makes 36 a minute, and 48 requests in all. Who looks more often reads more often.
READS_A_LOOK = 3.0
#: Where looks are rarer than that.
READS_A_MINUTE = 36.0
#: What was not used is kept for when several are due at once.
MOST_LOOKS_KEPT = 4
#: A turn is kept for so many looks, for who comes to a job less often than the list is asked.
TURN_LOOKS = 15


class LogReads:
    """Gives turns to read a log. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._look = 0
        self._left = READS_A_LOOK * MOST_LOOKS_KEPT
        #: Who has asked since the last look in vain, and since when they are due.
        self._waiting: dict[Hashable, float] = {}
        #: Whose turn it is, and since which look.
        self._turns: dict[Hashable, int] = {}

    def next_look(self, poll_s: float) -> None:
        """The list has been asked: so many more may be read, and those who wait for longest are first.

        Args:
            poll_s: seconds between two looks.
        """
        with self._lock:
            self._look += 1
            kept = {who: since for who, since in self._turns.items() if self._look - since < TURN_LOOKS}
            more = max(READS_A_LOOK, READS_A_MINUTE * poll_s / 60)
            self._left = min(more * MOST_LOOKS_KEPT, self._left + len(self._turns) - len(kept) + more)
            first = heapq.nsmallest(int(self._left), self._waiting, key=self._waiting.__getitem__)
            self._left -= len(first)
            self._turns = kept | dict.fromkeys(first, self._look)
            self._waiting = {}

    def ask(self, who: Hashable, due_since: float) -> bool:
        """Ask for a turn to read a log; who gets none asks again at a later look.

        Args:
            who: tells jobs apart.
            due_since: since when it is due, on any clock that all who share this use.
        """
        with self._lock:
            if self._turns.pop(who, None) is not None:
                return True
            if self._left >= 1:
                self._left -= 1
                return True
            self._waiting[who] = due_since
            return False
