"""What has to be ended before this process ends: it is told in time, and waited for."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Protocol

from prefect.context import FlowRunContext

from octa_provider.text.loggers import plain_logger

__all__ = [
    "PROCESS_ENDS",
    "SIGNAL_CAME",
    "Ends",
    "end_with_process",
    "hear_signals",
    "hearing_signals",
    "note_ended",
    "restore_signals",
]

Handler = Callable[[int, FrameType | None], Any] | int | None

log = plain_logger("prefect_blocks.at_exit")

#: Seconds that all that is ended together may take, once the process is ending.
END_S = 120.0
#: The same after a signal: Prefect's runner kills 30 s after SIGTERM.
END_ON_SIGNAL_S = 20.0
#: Those that kill by default and are sent to ask for the end; SIGINT raises by default. Windows knows some alone.
SIGNALS = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")
PROCESS_ENDS = "the process ends"
#: What sends logs, events and artifacts to Prefect is still there.
SIGNAL_CAME = "a signal ends the process"


class Ends(Protocol):
    """Something with a thread of its own that stops a machine when it is told to."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""

    def end(self, why: str) -> None:
        """Have it end; returns at once, and is safe in a signal's handler.

        Args:
            why: in words, for whoever reads the log.
        """


_under_way: dict[Ends, None] = {}
#: Blocks of `hearing_signals` that are open.
_blocks = 0
#: What was there before our own handlers, by signal.
_before: dict[int, Handler] = {}
_ours: dict[int, Handler] = {}


def end_with_process(thing: Ends) -> None:
    """End a thing when the process ends by the end of its script, or by a signal (see `hearing_signals`).

    Args:
        thing: what is under way; `note_ended` takes it off again.
    """
    _under_way[thing] = None
    # What was registered last is called first. Prefect waits there for its own server, which may be away, and threads
    # can't be started any more in what `atexit` calls. Not public, so it may be missing.
    register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
    register(_end_all)


def note_ended(thing: Ends) -> None:
    """Leave a thing alone when the process ends: it has ended by itself.

    Args:
        thing: as `end_with_process` was given it; one that is not known does nothing.
    """
    _under_way.pop(thing, None)


def hear_signals() -> None:
    """From here on signals that kill by default raise SystemExit; does nothing outside of the main thread.

    What is under way is ended before: in a flow Prefect tells of the crash then, and kills the process at once when it
    was SIGTERM. `restore_signals` puts them back.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is None:
            continue
        before = signal.getsignal(number)
        if before is _ours.get(number):
            continue
        # A program's own handler is its own affair; Prefect's, within a flow, raises.
        of_prefect = number == signal.SIGTERM and callable(before) and FlowRunContext.get() is not None
        if before is signal.SIG_DFL or of_prefect:
            _before[number], _ours[number] = before, partial(_end_then, before)
            signal.signal(number, _ours[number])


def _end_then(before: Handler, number: int, frame: FrameType | None) -> None:
    _end_all(END_ON_SIGNAL_S, SIGNAL_CAME)
    if callable(before):
        before(number, frame)
    else:
        raise SystemExit(128 + number)


def restore_signals() -> None:
    """Put the signals back when nothing needs them any more; does nothing outside of the main thread."""
    if threading.current_thread() is not threading.main_thread() or _under_way or _blocks:
        return
    for number, ours in _ours.items():
        # What the program has set meanwhile is its own.
        if signal.getsignal(number) is ours:
            signal.signal(number, _before[number])
    _before.clear()
    _ours.clear()


class hearing_signals(AbstractContextManager[None]):
    """Signals are heard within the block, and after it as long as something is under way.

    Coroutines need it around what works in threads, which signals never reach.
    """

    def __init__(self) -> None:
        self._counts = False

    def __enter__(self) -> None:
        global _blocks
        if threading.current_thread() is threading.main_thread():
            self._counts = True
            _blocks += 1
            hear_signals()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _blocks
        if self._counts:
            self._counts = False
            _blocks -= 1
            restore_signals()


def _end_all(seconds: float = END_S, why: str = PROCESS_ENDS) -> None:
    # No lock is waited for in here: a signal may have come while this thread held it.
    things = list(_under_way)
    for thing in things:
        thing.end(why)
    until = time.monotonic() + seconds
    while not all(thing.ended for thing in things):
        if time.monotonic() >= until:
            log.error("what was started here is not seen stopped, so perhaps still billing: octa-provider sessions")
            return
        time.sleep(0.05)


def _forget_all() -> None:
    # A forked child has none of its parent's threads: what they follow is the parent's.
    global _blocks
    _under_way.clear()
    _before.clear()
    _ours.clear()
    _blocks = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
