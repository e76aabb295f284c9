"""What has to be ended before this process ends: it is told in time, and waited for."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Protocol

from prefect.context import FlowRunContext

from octa_provider.stop_signals import stop_signals_raise

__all__ = ["PROCESS_ENDS", "Ends", "ends_with_process", "has_ended", "hear_signals", "signals_as_before"]

log = logging.getLogger("prefect_blocks.at_exit")

#: Seconds that all that is ended together may take, once the process is ending.
END_S = 120.0
#: The same after SIGTERM in a flow: Prefect's runner kills after 30 s.
END_ON_SIGTERM_S = 20.0
PROCESS_ENDS = "the process ends"


class Ends(Protocol):
    """Something with a thread of its own that stops a machine when it is told to."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""

    def end(self, why: str) -> None:
        """Have it end; returns at once."""


_under_way: dict[Ends, None] = {}
_signals: ExitStack | None = None
_chained: Callable[[int, FrameType | None], None] | None = None
_before_chained: Callable[[int, FrameType | None], object] | None = None


def ends_with_process(thing: Ends) -> None:
    """End a thing when the process ends by the end of its script, or by a signal (see `hear_signals`)."""
    _under_way[thing] = None
    # What was registered last is called first. Prefect waits there for its own server, which may be away, and threads
    # can't be started any more in what `atexit` calls. Not public, so it may be missing.
    register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
    register(_end_all)


def has_ended(thing: Ends) -> None:
    """It has ended by itself."""
    _under_way.pop(thing, None)


def hear_signals() -> None:
    """From here on signals that kill by default raise instead; does nothing outside of the main thread.

    In a flow Prefect hears SIGTERM: it raises, tells of the crash, and kills the process. So there all is ended first,
    and then it is Prefect's turn.
    """
    global _signals, _chained, _before_chained
    if threading.current_thread() is not threading.main_thread():
        return
    if _signals is None:
        _signals = ExitStack()
        _signals.enter_context(stop_signals_raise())
    theirs = signal.getsignal(signal.SIGTERM)
    if FlowRunContext.get() is None or theirs is _chained or not callable(theirs):
        return

    def end_then_theirs(number: int, frame: FrameType | None) -> None:
        _end_all(END_ON_SIGTERM_S)
        theirs(number, frame)

    _chained, _before_chained = end_then_theirs, theirs
    signal.signal(signal.SIGTERM, end_then_theirs)


def signals_as_before() -> None:
    """Put the signals back when nothing is under way any more; does nothing outside of the main thread."""
    global _signals, _chained, _before_chained
    if threading.current_thread() is not threading.main_thread() or _under_way:
        return
    if _chained is not None and signal.getsignal(signal.SIGTERM) is _chained:
        signal.signal(signal.SIGTERM, _before_chained)
    _chained = _before_chained = None
    if _signals is not None:
        signals, _signals = _signals, None
        signals.close()


def _end_all(seconds: float = END_S) -> None:
    # No lock is waited for in here: a signal may have come while this thread held it.
    things = list(_under_way)
    for thing in things:
        thing.end(PROCESS_ENDS)
    until = time.monotonic() + seconds
    while not all(thing.ended for thing in things):
        if time.monotonic() >= until:
            log.error("what was started here is not seen stopped, so perhaps still billing: octa-provider sessions")
            return
        time.sleep(0.05)


def _forget_all() -> None:
    # A forked child has none of its parent's threads: what they follow is the parent's.
    global _signals, _chained, _before_chained
    _under_way.clear()
    _signals = _chained = _before_chained = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
