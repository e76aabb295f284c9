"""How long the refusal of a key is not believed that was taken before: gateways slip, and work would be given up."""

from __future__ import annotations

from octa_provider.errors import OctaAuthenticationError, OctaForbiddenError
from octa_provider.timing.clock import Clock

__all__ = ["REFUSED_S", "Refusals", "is_refused_key"]

#: Whoever ends us waits half a minute before it kills, and has to be told by then that something may run.
REFUSED_S = 20.0


def is_refused_key(error: BaseException) -> bool:
    """Whether an error says that the API does not take the key."""
    return isinstance(error, (OctaAuthenticationError, OctaForbiddenError))


class Refusals:
    """The refusals that follow each other, for somebody who asks again and again.

    Args:
        clock: tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None

    def may_pass(self, error: BaseException, *, key_was_accepted: bool) -> bool:
        """Whether an error is the refusal of a key that may be taken again in a moment.

        Args:
            error: what was answered.
            key_was_accepted: whether the API has ever taken the key.
        """
        if not key_was_accepted or not is_refused_key(error):
            return False
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        return now - self._since < REFUSED_S

    def over(self) -> None:
        """The key was taken: what is refused from here on is another slip."""
        self._since = None
