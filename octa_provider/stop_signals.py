"""SIGTERM and SIGINT while something rented must not be left behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

from octa_provider.plain_log import plain_logger

log = plain_logger("octa_provider.stop_signals")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals_raise() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Within the block SIGTERM raises SystemExit, so that `finally` runs; SIGINT raises KeyboardInterrupt as ever.

    Yields a function whose context manager holds both signals back, for the cleaning up itself; they are delivered when
    it is done. Handlers that the program has set are left alone, and so are threads other than the main one, which
    signals never reach.
    """
    if threading.current_thread() is not threading.main_thread():
        yield nullcontext
        return
    replaced = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if replaced:
        signal.signal(signal.SIGTERM, _exit)
    try:
        yield _held
    finally:
        if replaced:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _held() -> Iterator[None]:
    pending: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        pending.append(number)
        log.warning("signal %d comes after the session has been stopped: kill -9 leaves it running", number)

    previous = {number: signal.signal(number, remember) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None is a handler that was not set from Python: it can't be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in dict.fromkeys(pending):
            os.kill(os.getpid(), late)
