"""A question to the person at the terminal."""

from __future__ import annotations

import select
import sys
import time

from octa_provider.cli.options.connection import tell

__all__ = ["ask", "can_ask"]

#: A signal just before a wait, or in another thread, does not end the wait: Python hears it after so long.
_HEARD_WITHIN_S = 1.0


def can_ask() -> bool:
    """Whether somebody sees a question on standard error, and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, within_s: float | None = None) -> bool:
    """Ask for a yes. Anything else is a no, and so is no answer.

    Args:
        question: without its question mark and choices.
        within_s: seconds that an answer is waited for; None waits for as long as it takes.
    """
    print(f"{question}? [y/N] ", end="", file=sys.stderr, flush=True)
    if within_s is not None and not _is_answered(within_s):
        tell("\nno answer: taken for a no")
        return False
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        # The end of what was typed (Ctrl-D) leaves the cursor behind the question.
        tell("")
    return answer.strip().lower() in {"y", "yes"}


def _is_answered(within_s: float) -> bool:
    until = time.monotonic() + within_s
    while not select.select([sys.stdin], [], [], max(0.0, min(_HEARD_WITHIN_S, until - time.monotonic())))[0]:
        if time.monotonic() >= until:
            return False
    return True
