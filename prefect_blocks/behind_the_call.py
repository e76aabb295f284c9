"""Work that goes on when its caller has returned, in a thread of its own; the process does not end before it."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

__all__ = ["go_on_behind"]

_threads: set[threading.Thread] = set()
_is_registered = False


def go_on_behind(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine in an event loop and a thread of its own. Returns at once.

    Args:
        work: makes the coroutine; it sees to its own errors.
    """
    global _is_registered
    if not _is_registered:
        _is_registered = True
        # Later nothing can be looked up any more, since the pools of threads are closed. Not public, so it may be
        # missing.
        register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
        register(_wait_for_all)

    def run() -> None:
        try:
            asyncio.run(work())
        finally:
            _threads.discard(threading.current_thread())

    thread = threading.Thread(target=copy_context().run, args=(run,), name="octa-follow", daemon=True)
    _threads.add(thread)
    thread.start()


def _wait_for_all() -> None:
    for thread in list(_threads):
        thread.join()


def _forget_all() -> None:
    # A forked child has none of its parent's threads.
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
