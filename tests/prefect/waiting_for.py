"""Waiting for something to come true, with a deadline and a name for what did not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_for(question: Callable[[], Any], what: str, seconds: float = 300.0, every_s: float = 0.2) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := question():
            return answer
        time.sleep(every_s)
    raise AssertionError(f"within {seconds:g} s it did not come true: {what}")
