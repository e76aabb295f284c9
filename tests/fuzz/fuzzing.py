"""What the fuzzers share: how many inputs, what they may cost, and a count of what was tried."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

__all__ = ["ANYTHING", "COUNTS", "EXAMPLES", "ODD_TEXT", "SCALARS", "TERMINAL", "bounded", "cost", "fuzzed"]

#: Inputs of each fuzzer: a few in `make test`, as many as one likes in `make fuzz`.
EXAMPLES = int(os.environ.get("OCTA_FUZZ_EXAMPLES", "60"))
#: Of CPU, for one input of some hundred bytes: hundreds of times what it takes on a slow machine.
MOST_S = 10.0

#: What was tried, by the name of the fuzzer: inputs, and the slowest of them in seconds of CPU.
COUNTS: dict[str, tuple[int, float]] = {}

ODD_TEXT = st.text(st.characters(categories=None), max_size=80) | st.text(max_size=80)
TERMINAL = st.text(
    st.sampled_from("\x1b[]0;mABH?\x07\x9b\x9d\x9c\r\n\t \u202e\u2028\x85\x00\ud800x9%/:.,-1 é"), max_size=200
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ODD_TEXT
    | st.sampled_from(["nan", "inf", "-1", "1e400", "9" * 400, "", " ", 2**63, 2**64, 2**70, -(2**70), 1e308])
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4), max_leaves=10
)

F = TypeVar("F", bound=Callable[..., None])


def fuzzed(*strategies: Any, share: float = 1.0) -> Callable[[F], F]:
    """Run a test with so many inputs: it fails for whatever it raises, and for one that takes too long.

    Args:
        strategies: of its arguments.
        share: of the usual number of inputs, for a test that takes longer than others.
    """

    def wrap(check: F) -> F:
        def counted(values: tuple[Any, ...]) -> None:
            begun = time.thread_time()
            check(*values)
            took_s = time.thread_time() - begun
            inputs, slowest_s = COUNTS.get(check.__name__, (0, 0.0))
            COUNTS[check.__name__] = (inputs + 1, max(slowest_s, took_s))
            assert took_s < MOST_S, f"{took_s:.1f} s of CPU"

        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(counted, name, getattr(check, name))
        sized = settings(
            max_examples=max(5, int(EXAMPLES * share)),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        made: Any = sized(given(st.tuples(*strategies))(counted))
        return made  # type: ignore[no-any-return]

    return wrap


def cost(call: Callable[[], object]) -> tuple[float, int]:
    """Seconds of CPU, and the most bytes held at once, that a call took."""
    tracemalloc.start()
    try:
        begun = time.thread_time()
        call()
        return time.thread_time() - begun, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bounded(call: Callable[[], object], *, most_s: float, most_bytes: int) -> None:
    """Fail when a call takes more CPU or memory than that."""
    took_s, peak = cost(call)
    assert took_s < most_s, f"{took_s:.1f} s of CPU"
    assert peak < most_bytes, f"{peak} bytes held at once"
