"""Waiting for something to come true, with a deadline and a name for what did not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: For what comes in seconds: a busy computer may take very long, and a test has 900 s in all.
LONG_S = 600.0


def wait_for(question: Callable[[], Any], what: str, seconds: float = LONG_S, every_s: float = 0.2) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := question():
            return answer
        time.sleep(every_s)
    raise AssertionError(f"within {seconds:g} s it did not come true: {what}")
