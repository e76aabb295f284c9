"""The handlers of the signals that end this process: what is raised, what is remembered, what is sent again."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from octa_provider.text.loggers import plain_logger

log = plain_logger("octa_provider.rental.signals")

#: Sent to ask for the end, by a shell, a terminal that is closed, a supervisor. Windows knows some of them alone.
ASKED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGBREAK")
#: These end a process that does not handle them: batch systems send them, and `alarm`.
OTHERS = ("SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM", "SIGPWR")
#: A handler of the program's own is held back for these. Airflow's time limit of a task raises from SIGALRM.
HELD_BACK = (*ASKED, "SIGALRM")
#: A signal that comes where it can be neither raised nor held is sent again after so long.
AGAIN_S = 0.005
_CONTEXTS_LOOKED_AT = 100

Handler = Callable[[int, FrameType | None], Any] | int | None


class ProcessSignals:
    """What this process does about signals; used in its main thread alone. `octa_provider.rental.clean_up` says why.

    Attributes:
        ending: in this code an end has begun: what it calls holds the signals.
        between: in this code a block is not entered yet. All of `contextlib` is like it: for blocks that are written as
            generators, or kept in an `ExitStack`.
    """

    def __init__(self) -> None:
        self.ending = {f.__code__ for f in (self.hold, self.leave, self.release)}
        self.between = {f.__code__ for f in (self.enter, self._came, self._act, self._send_again, self._was_lost)}
        self._owner = 0
        self._blocks = 0
        self._held = 0
        self._busy = 0
        self._before: dict[int, Handler] = {}
        self._pending: dict[int, None] = {}
        self._raised: BaseException | None = None
        self._number = 0
        self._unraisable = sys.unraisablehook

    def enter(self) -> None:
        """A block begins."""
        if self._blocks and os.getpid() != self._owner:
            # Forked within a block of the parent's, which is none of ours.
            self._put_back()
            self._blocks = self._held = 0
        if self._blocks:
            self._blocks += 1
            return
        handlers = _handlers_to_replace()
        self._owner = os.getpid()
        self._before = {}
        self._pending = {}
        self._raised = None
        self._unraisable = sys.unraisablehook
        sys.unraisablehook = self._was_lost
        self._blocks = 1
        for number, handler in handlers.items():
            self._before[number] = handler
            signal.signal(number, self._came)

    def leave(self) -> None:
        """A block has ended, and its cleaning up too."""
        self._held += 1
        try:
            self._blocks -= 1
            if not self._blocks:
                self._put_back()
        finally:
            self._held -= 1
        self._deliver()
        if not self._blocks:
            self._raised = None

    def hold(self) -> None:
        """From now on signals are remembered."""
        self._held += 1

    def release(self, problem: BaseException | None) -> None:
        """The opposite: the first that came meanwhile is heard now.

        Args:
            problem: what the cleaning up raised.
        """
        self._held -= 1
        if self._held or not self._pending or self._is_on_its_way():
            return
        if problem is not None:
            # The process ends as it was asked to; what may bill on must be told all the same.
            log.error("%s", problem)
        self._deliver()

    def is_raised(self, error: BaseException) -> bool:
        """Whether this is the exception that the last signal raised."""
        return error is self._raised

    def _put_back(self) -> None:
        for number, handler in self._before.items():
            # What the program has set meanwhile is its own.
            if signal.getsignal(number) == self._came:
                signal.signal(number, handler)
        if sys.unraisablehook == self._was_lost:
            sys.unraisablehook = self._unraisable

    def _deliver(self) -> None:
        if self._held or not self._pending or self._is_on_its_way():
            return
        number = next(iter(self._pending))
        self._pending = {}
        self._act(number, None)

    def _came(self, number: int, frame: FrameType | None) -> None:
        self._busy += 1
        try:
            if os.getpid() != self._owner:
                # A child that was forked within the block has no machine to stop.
                signal.signal(number, self._before[number])
                os.kill(os.getpid(), number)
            elif self._held or self._is_on_its_way() or _is_in(frame, self.ending):
                self._pending[number] = None
                if signal.Signals(number).name in ASKED:
                    self._tell(number)
            elif self._busy > 1 or _is_in(frame, self.between) or _is_in_contextlib(frame):
                # Between a block and its body there is nobody to hear an exception: it would pass by the cleaning up.
                self._send_again(number)
            else:
                self._act(number, frame)
        finally:
            self._busy -= 1

    @staticmethod
    def _tell(number: int) -> None:
        # Whoever writes to the same stream may have been interrupted.
        with suppress(Exception):
            log.warning("signal %d waits until what was rented is stopped: kill -9 leaves it running", number)

    def _act(self, number: int, frame: FrameType | None) -> None:
        handler = self._before[number]
        try:
            if callable(handler) and handler is not signal.default_int_handler:
                handler(number, frame)
            elif number == signal.SIGINT:
                raise KeyboardInterrupt
            else:
                raise SystemExit(128 + number)
        except BaseException as error:
            self._raised = error
            self._number = number
            raise

    def _send_again(self, number: int) -> None:
        try:
            # Not by `threading`, whose steps in Python this may have interrupted.
            _thread.start_new_thread(_kill_later, (os.getpid(), number))
        except RuntimeError:
            # No threads any more: then when what runs now has ended.
            self._pending[number] = None

    def _was_lost(self, unraisable: sys.UnraisableHookArgs) -> None:
        """An exception that nobody could hear, as in `__del__`: when it was a signal's, the signal comes again."""
        if unraisable.exc_value is not None and unraisable.exc_value is self._raised:
            self._raised = None
            self._send_again(self._number)
        else:
            self._unraisable(unraisable)

    def _is_on_its_way(self) -> bool:
        """Whether what the last signal raised is being handled, or has led to what is."""
        if self._raised is None:
            return False
        error = sys.exc_info()[1]
        for _ in range(_CONTEXTS_LOOKED_AT):
            if error is None or error is self._raised:
                break
            error = error.__context__
        return error is not None


def _is_in(frame: FrameType | None, codes: set[CodeType]) -> bool:
    return frame is not None and frame.f_code in codes


def _is_in_contextlib(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_globals is vars(contextlib)


def _kill_later(pid: int, number: int) -> None:
    time.sleep(AGAIN_S)
    os.kill(pid, number)


def _handlers_to_replace() -> dict[int, Handler]:
    """The handlers of now, of the signals that would end this process or interrupt a cleaning up."""
    caught = _caught_by_the_process()
    found: dict[int, Handler] = {}
    for name in (*ASKED, *OTHERS):
        if not hasattr(signal, name):
            continue
        number = int(getattr(signal, name))
        handler = signal.getsignal(number)
        if (handler is signal.SIG_DFL and number not in caught) or (callable(handler) and name in HELD_BACK):
            found[number] = handler
        # Else it is ignored, or its handler is not Python's and could not be put back, or ends nothing.
    return found


def _caught_by_the_process() -> set[int]:
    """Signals that have a handler, be it one that Python does not know of, such as that of `faulthandler`."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return set()
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), "0")
    mask = int(caught, 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
