"""What the requests of a caller that asks again himself keep to: deadlines, and whether he still wants the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from octa_provider.http.time_limit import LONGEST_STREAM_S, TimeLimit
from octa_provider.timing.deadline import Deadline

#: However late it is, a request has so long, in seconds: a stop that nobody could send leaves a machine billing.
LEAST_S = 1.0


@dataclass(frozen=True)
class Bounds:
    """Deadlines that all hold, and cancels of which any counts. Without any, a client is as its arguments made it.

    Attributes:
        deadlines: when a request must have ended.
        cancels: asked while an answer arrives.
    """

    deadlines: tuple[Deadline, ...] = ()
    cancels: tuple[Callable[[], bool], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.deadlines)

    def within(self, deadline: Deadline, is_cancelled: Callable[[], bool]) -> Bounds:
        """These bounds and one more.

        Args:
            deadline: when every request must have ended.
            is_cancelled: asked while a read's answer arrives.
        """
        return Bounds((*self.deadlines, deadline), (*self.cancels, is_cancelled))

    def limit(self, timeout_s: float, *, streamed: bool, side_effect: bool) -> TimeLimit:
        """How long an exchange that begins now may take.

        Args:
            timeout_s: of the request.
            streamed: its answer may be of any size.
            side_effect: it changes something. What it has done must be read to its end, since nobody else knows what
                bills from now on: so no cancel is heard.
        """
        left_s = min((max(deadline.left_s, LEAST_S) for deadline in self.deadlines), default=LONGEST_STREAM_S)
        return TimeLimit(
            min(timeout_s, left_s),
            streamed=streamed,
            at_most_s=left_s,
            is_cancelled=None if side_effect or not self.cancels else self._is_cancelled,
        )

    def _is_cancelled(self) -> bool:
        return any(is_cancelled() for is_cancelled in self.cancels)
