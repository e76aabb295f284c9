"""A start whose caller leaves: others may go on with its key, or have done so already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Leaving"]


@dataclass(frozen=True)
class Leaving:
    """What a start asks whose caller may leave while the work is still wanted, such as a worker that is shut down.

    Whoever leaves takes only its own along: what it has started itself, and nobody else has taken up, is stopped. What
    other tries have under the key stays. That is the difference to a key that is cancelled, of which nothing stays.

    Attributes:
        is_leaving: asked wherever `is_cancelled` is.
        is_taken: asked before a session of this try is stopped, with its uuid: whether somebody else follows it by now.
    """

    is_leaving: Callable[[], bool]
    is_taken: Callable[[str], bool] = lambda uuid: False
