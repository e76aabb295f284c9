"""Waiting for something to come true, with a deadline and a name for what did not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: For what comes in seconds: a busy computer may take very long, and a test has 900 s in all.
LONG_S = 600.0


def wait_for(question: Callable[[], Any], what: str, seconds: float = LONG_S, every_s: float = 0.2) -> Any:
    """Ask until the answer is true, and return it; ever less often, since each question costs the server its time.

    Args:
        question: what is asked.
        what: named when it did not come true.
        seconds: how long it is asked.
        every_s: the first pause; later ones are a tenth of what has been waited, half a second at most.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        if answer := question():
            return answer
        time.sleep(max(every_s, min(0.5, waited / 10)))
    raise AssertionError(f"within {seconds:g} s it did not come true: {what}")
