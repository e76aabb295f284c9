"""Signals that end a process, while something rented must not be left behind.

A signal can come between any two steps of Python, so also between the end of a block and the first step of its cleaning
up, or while an earlier signal is on its way out. Nothing of that may lose a machine:

- Within a block the signals raise: SIGINT KeyboardInterrupt, the others SystemExit with 128 and their number.
- Once one has raised, and until its exception has been dealt with, later ones are only remembered.
- While something is cleaned up they are only remembered. The first of them raises when that is done, unless an
  exception of an earlier one is on its way already.
- Handlers that the program has set are called as ever, but held back in the same way; they may raise what they like.
- A child that was forked within a block leaves the cleaning up to its parent, unless that has gone and left it alone.
- A signal that is ignored (SIGHUP under nohup) stays ignored.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from octa_provider.rental.signals import ProcessSignals

__all__ = ["came_by_signal", "cleaned_up_by", "signals_held", "stop_signals_raise"]

_signals = ProcessSignals()


class _Hold(AbstractContextManager[None]):
    """Signals are remembered within the block."""

    def __enter__(self) -> None:
        _signals.hold()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _signals.release(error)


def signals_held() -> AbstractContextManager[None]:
    """A context in which signals wait, for a step that must not be cut in two. Keep it short: nobody can end it."""
    return _Hold() if threading.current_thread() is threading.main_thread() else nullcontext()


def came_by_signal(error: BaseException) -> bool:
    """Whether this is what a signal raised within a block: it must reach the block's end, whoever is on the way."""
    return _signals.is_raised(error)


class stop_signals_raise(AbstractContextManager[Callable[[], AbstractContextManager[None]]]):
    """Within the block the signals that end a process raise, so that `finally` runs; see the top of this file.

    Gives a function whose context manager holds them back, for cleaning up. `cleaned_up_by` leaves no gap before that.
    Threads other than the main one, which signals never reach, do nothing here.
    """

    def __init__(self) -> None:
        self._entered = False

    def __enter__(self) -> Callable[[], AbstractContextManager[None]]:
        if threading.current_thread() is not threading.main_thread():
            return nullcontext
        self._entered = True
        _signals.enter()
        return _Hold

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._entered:
            _signals.leave()


class cleaned_up_by(AbstractContextManager[None]):
    """A block whose end is never missed: `clean_up` is called once, whatever ends the block and whenever.

    In a child that was forked within the block it is not called while the parent lives, whose block it is.

    Within the block the signals that end a process raise; while `clean_up` runs they are held back.

    Args:
        clean_up: told what the block raised, None when it came to its end. What it raises itself is raised.

    Example:
        >>> with cleaned_up_by(lambda error: machine.stop()):
        ...     machine.work()
    """

    def __init__(self, clean_up: Callable[[BaseException | None], object]) -> None:
        self._clean_up = clean_up
        self._guard = stop_signals_raise()

    def __enter__(self) -> None:
        self._pid = os.getpid()
        self._hold = self._guard.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Until `_hold` holds, a signal that comes is remembered because this code is running.
        hold = self._hold()
        hold.__enter__()
        problem: BaseException | None = None
        try:
            if not self._is_its_owners_to_clean_up():
                self._clean_up(error)
        except BaseException as raised:
            problem = raised
            raise
        finally:
            try:
                hold.__exit__(None if problem is None else type(problem), problem, None)
            finally:
                self._guard.__exit__(kind, error, traceback)

    def _is_its_owners_to_clean_up(self) -> bool:
        """Whether this is a child that was forked within the block, and whoever entered it still runs and needs it."""
        # One whose parent has left it alone has inherited the block, as a daemon has: nobody else would clean up.
        return self._pid != os.getpid() and self._pid == os.getppid()


_signals.ending |= {
    function.__code__
    for function in (cleaned_up_by.__exit__, stop_signals_raise.__exit__, _Hold.__enter__, _Hold.__exit__)
}
_signals.between |= {function.__code__ for function in (cleaned_up_by.__enter__, stop_signals_raise.__enter__)}
