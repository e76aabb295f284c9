"""What has to be ended before this process ends: it is told in time, and waited for."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

from octa_provider.stop_signals import stop_signals_raise

__all__ = ["PROCESS_ENDS", "Ends", "ends_with_process", "has_ended", "signals_as_before"]

#: Seconds that all that is ended together may take, once the process is ending.
END_S = 120.0
PROCESS_ENDS = "the process ends"


class Ends(Protocol):
    """Something with a thread of its own that stops a machine when it is told to."""

    def end(self, why: str) -> None:
        """Have it end; returns at once."""

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; returns whether it has ended."""


_lock = threading.Lock()
_under_way: dict[Ends, None] = {}
_signals: ExitStack | None = None


def ends_with_process(thing: Ends) -> None:
    """End a thing when the process ends, by the end of its script or by a signal that would just kill it."""
    with _lock:
        _under_way[thing] = None
    _hear_signals()
    _before_others(_end_all)


def has_ended(thing: Ends) -> None:
    """It has ended by itself."""
    with _lock:
        _under_way.pop(thing, None)


def _hear_signals() -> None:
    """Let signals that kill by default raise instead, as long as something is under way that must not be left."""
    global _signals
    if threading.current_thread() is not threading.main_thread():
        return
    if _signals is None:
        _signals = ExitStack()
        _signals.enter_context(stop_signals_raise())


def signals_as_before() -> None:
    """Put the signals back when nothing is under way any more; does nothing outside of the main thread."""
    global _signals
    if threading.current_thread() is not threading.main_thread() or _signals is None or _under_way:
        return
    signals, _signals = _signals, None
    signals.close()


def _before_others(end: Callable[[], None]) -> None:
    # What was registered last is called first. Prefect waits there for its own server, which may be away, and threads
    # can't be started any more in what `atexit` calls. Not public, so it may be missing.
    register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
    register(end)


def _end_all() -> None:
    with _lock:
        things = list(_under_way)
    for thing in things:
        thing.end(PROCESS_ENDS)
    until = time.monotonic() + END_S
    for thing in things:
        thing.wait(max(0.0, until - time.monotonic()))


def _forget_all() -> None:
    # A forked child has none of its parent's threads: what they follow is the parent's.
    global _lock, _signals
    _lock = threading.Lock()
    _under_way.clear()
    _signals = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
