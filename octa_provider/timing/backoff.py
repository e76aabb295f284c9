"""How long to wait before asking again: one formula for a request, a wait's questions, the watcher and SSH."""

from __future__ import annotations

import random
from collections.abc import Callable

from octa_provider.errors import OctaError

__all__ = ["LONGEST_PAUSE_S", "grown_s", "pause_s", "pauses"]

_FIRST_ASKING_S = 0.5
_LONGEST_ASKING_S = 10.0
#: The longest pause between two looks in an outage, unless the server asks for more.
LONGEST_PAUSE_S = 60.0
LOOK_JITTER = 0.1
#: The pause has long been the longest by then, and a larger power of two is no float.
_MOST_FAILURES = 60


def grown_s(
    first_s: float,
    failures: int,
    longest_s: float,
    *,
    factor: float = 2.0,
    spread: tuple[float, float] = (1.0, 1.0),
    chance: float = 0.0,
) -> float:
    """A pause in seconds that grows with each failure, up to a longest one, and then jittered.

    Args:
        first_s: the pause without a failure.
        failures: how many tries in a row have failed.
        longest_s: the longest pause, before the jitter.
        factor: what each failure multiplies it by.
        spread: the least and the most that the jitter multiplies it by.
        chance: a random number from 0 to 1: where between the two.
    """
    least, most = spread
    return min(first_s * factor ** min(failures, _MOST_FAILURES), longest_s) * (least + (most - least) * chance)


def pauses() -> Callable[[OctaError | None], float]:
    """How long a wait pauses before it asks again: growing, jittered, and not less than the server asked for."""
    failures = 0

    def wait_s(error: OctaError | None) -> float:
        nonlocal failures
        pause = grown_s(_FIRST_ASKING_S, failures, _LONGEST_ASKING_S, spread=(0.5, 1.0), chance=random.random())
        failures += 1
        return float(max(getattr(error, "retry_after", None) or 0.0, pause))

    return wait_s


def pause_s(poll_s: float, failures: int, asked_s: float | None, chance: float) -> float:
    """Seconds until the next look.

    Args:
        poll_s: the poll interval. Jitter only ever lengthens it: never more than one call per interval.
        failures: how many calls in a row have failed; the pause doubles with each.
        asked_s: what the server asked to wait for.
        chance: a random number, 0 to 1.
    """
    longest_s = max(poll_s, LONGEST_PAUSE_S)
    return max(grown_s(poll_s, failures, longest_s, spread=(1.0, 1.0 + LOOK_JITTER), chance=chance), asked_s or 0.0)
