"""How long one exchange with the API may take, whatever its bytes do on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from octa_provider.errors import OctaCancelledError

#: An answer of any size (a log, an archive) must arrive at this rate at least, or end within its timeout.
LEAST_BYTES_PER_S = 16 * 1024
#: And however fast it arrives, this is the end of it.
LONGEST_STREAM_S = 3600.0
#: A cancel is asked for so often while bytes are waited for.
SLICE_S = 0.5


class TimeLimit:
    """The end of one exchange: connection, request, headers and body together.

    It is measured by this machine's own clock, since the network knows no other. Waiting for a byte is bounded by
    what is left, so that a server that drips can't move the end.

    Args:
        seconds: from now.
        streamed: the answer may be of any size: each byte of its body that arrives pushes the end on by what it may
            take at `LEAST_BYTES_PER_S`, but never beyond `seconds` from then.
        at_most_s: seconds from now that no progress moves.
        is_cancelled: asked about twice a second while an answer is waited for.

    Attributes:
        seconds: as given.
        request_left: a byte of the request has been handed to the network.
        counted: the connection tells by itself what arrives.
        in_body: the headers have arrived. They may not take longer however many there are.
    """

    def __init__(
        self,
        seconds: float,
        *,
        streamed: bool = False,
        at_most_s: float = LONGEST_STREAM_S,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> None:
        now = time.monotonic()
        self.seconds = seconds
        self.request_left = False
        self.counted = False
        self.in_body = False
        self._streamed = streamed
        self._longest_s = at_most_s
        self._last = now + at_most_s
        self._end = min(now + seconds, self._last)
        self._is_cancelled = is_cancelled
        self._ask_at = now

    @property
    def left_s(self) -> float:
        """Seconds until the end; negative when it has passed."""
        return self._end - time.monotonic()

    @property
    def told(self) -> str:
        """The limit in words, for errors."""
        if not self._streamed:
            return f"not within {self.seconds:g} s"
        rate = LEAST_BYTES_PER_S // 1024
        return f"slower than {rate} KB a second for {self.seconds:g} s, or not within {self._longest_s:g} s"

    def wait_s(self) -> float:
        """The longest that anything may wait for the network from now on.

        Raises:
            TimeoutError: the end has come.
        """
        left = self.left_s
        if left <= 0:
            raise TimeoutError(self.told)
        return left

    def slice_s(self) -> float:
        """The same, cut so that a cancel is heard soon.

        Raises:
            TimeoutError: the end has come.
            OctaCancelledError: the caller has taken it back.
        """
        left = self.wait_s()
        if self._is_cancelled is None:
            return left
        now = time.monotonic()
        if now >= self._ask_at:
            if self._is_cancelled():
                raise OctaCancelledError("cancelled while an answer of the API was arriving")
            self._ask_at = now + SLICE_S
        return min(left, SLICE_S)

    def came(self, count: int) -> None:
        """So many bytes of the answer have arrived."""
        if self._streamed and self.in_body:
            pushed = min(self._end + count / LEAST_BYTES_PER_S, time.monotonic() + self.seconds)
            self._end = min(max(self._end, pushed), self._last)

    @contextmanager
    def imposed(self) -> Iterator[None]:
        """Within the block, what this thread sends and receives over our connections keeps to this limit."""
        before = current_limit()
        _imposed.limit = self
        try:
            yield
        finally:
            _imposed.limit = before


class _Imposed(threading.local):
    limit: TimeLimit | None = None


_imposed = _Imposed()


def current_limit() -> TimeLimit | None:
    """The limit of the exchange that this thread is in; None outside of one."""
    return _imposed.limit
