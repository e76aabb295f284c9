"""A question to the person at the terminal."""

from __future__ import annotations

import select
import sys

from octa_provider.cli.options.connection import tell

__all__ = ["ask", "can_ask"]


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
    if within_s is not None and not select.select([sys.stdin], [], [], within_s)[0]:
        tell("\nno answer: taken for a no")
        return False
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        # The end of what was typed (Ctrl-D) leaves the cursor behind the question.
        tell("")
    return answer.strip().lower() in {"y", "yes"}
