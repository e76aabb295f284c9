"""A signal that ends a command is answered at once: stopping a machine takes a while, and silence makes people wait.

The handlers are set outside of `stop_signals_raise`, which calls them once and holds back whatever comes after.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

from octa_provider.rental.signals import ASKED

_DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


class StopNotice(AbstractContextManager["StopNotice"]):
    """Within the block a signal that ends the process is told of, and then raises as it would without.

    Args:
        what: is stopped then.

    Attributes:
        show: called with a sentence when such a signal comes. What it raises is left out of account.
    """

    def __init__(self, what: str = "the machine") -> None:
        self._what = what
        self.show: Callable[[str], object] = lambda text: None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopNotice:
        if threading.current_thread() is threading.main_thread():
            for number in (int(getattr(signal, name)) for name in ASKED if hasattr(signal, name)):
                # What is ignored, as SIGHUP under nohup, stays ignored.
                if signal.getsignal(number) in _DEFAULT:
                    self._before[number] = signal.getsignal(number)
                    signal.signal(number, self._came)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _came(self, number: int, frame: FrameType | None) -> NoReturn:
        name = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        # Whoever writes to the same stream may have been interrupted.
        with suppress(Exception):
            self.show(f"{name}: stopping {self._what}, which takes a moment")
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)
