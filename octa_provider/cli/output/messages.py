"""What the library logs, as lines for the person at the terminal: each once, and above the bar where there is one."""

from __future__ import annotations

import logging
import re
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from octa_provider.cli.options.connection import tell

#: A message that is equal to an earlier one is told again after so long.
AGAIN_S = 600.0
#: So many messages are remembered.
MOST = 1000
#: Messages that differ in a length of time alone count as equal.
_TIME = re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|min|h)\b")


class LogMessages(AbstractContextManager[None]):
    """Within the block what is logged goes to standard error, in one line each.

    Args:
        program: stands before each line.
        verbose: tell what is being done too, and repeat what is equal.
        worded: makes a text fit for a terminal: without the key and without escapes.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        program: str,
        *,
        verbose: bool,
        worded: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = logging.getLogger()
        self._level = self._root.level
        self._quiet: dict[str, int] = {}
        self._verbose = verbose
        self._handler = _Teller(program, worded, None if verbose else _Once(clock))

    def __enter__(self) -> None:
        self._level = self._root.level
        self._root.setLevel(logging.INFO if self._verbose else logging.WARNING)
        # Commands say themselves how many records could not be read. What asyncio finds left over after an interrupt
        # means nothing to anybody. Why nothing happens for an hour does.
        levels = {
            "octa_provider.wire.records": logging.ERROR,
            "asyncio": logging.CRITICAL,
            "octa_provider.rental.machine_wait": logging.INFO,
        }
        for name, level in ({} if self._verbose else levels).items():
            self._quiet[name] = logging.getLogger(name).level
            logging.getLogger(name).setLevel(level)
        self._root.addHandler(self._handler)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        if not self._verbose:
            # Left over where a signal came between two steps.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._warnings.__exit__(kind, error, traceback)
        self._root.removeHandler(self._handler)
        self._root.setLevel(self._level)
        for name, level in self._quiet.items():
            logging.getLogger(name).setLevel(level)


def end_quietly() -> None:
    """What Python finds left over on its way out, above all after an interrupt, means nothing to anybody."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    sys.unraisablehook = lambda unraisable: None


class _Teller(logging.Handler):
    def __init__(self, program: str, worded: Callable[[str], str], once: _Once | None) -> None:
        super().__init__()
        self._program = program
        self._worded = worded
        self._once = once

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self._worded(record.getMessage())
        except Exception:  # noqa: BLE001 - a message that can't be put together must not end a command
            return
        if self._once is None or self._once.is_new(text):
            # Not to the stream of the start: while a bar is shown, it gives way to what is written to `sys.stderr`.
            tell(f"{self._program}: {text}")


class _Once:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}

    def is_new(self, text: str) -> bool:
        now, what = self._clock(), _TIME.sub("-", text)
        if now - self._told.get(what, now - AGAIN_S) < AGAIN_S:
            return False
        if len(self._told) >= MOST:
            self._told.clear()
        self._told[what] = now
        return True
