"""The event loop that the SSH connections of this process live on, in a thread of its own.

So a call works wherever it is made, also in a notebook, whose thread runs a loop already; connections stay alive
between two calls; and whoever waits can be told to stop waiting.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from octa_provider.errors import OctaCancelledError
from octa_provider.text.loggers import plain_logger

__all__ = ["ssh_loop", "wait_for"]

log = plain_logger("octa_provider.remote.loop")

T = TypeVar("T")
#: So often is whoever waits asked whether it still wants to.
SLICE_S = 0.25
#: What was given up is waited for so long: it closes what it has open.
ENDING_S = 5.0

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def ssh_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process; a process that was forked from another gets its own."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(_note)
            _loops.clear()
            _loops[os.getpid()] = loop
            thread = threading.Thread(target=_run, args=(loop,), name="octa-ssh", daemon=True)
            thread.start()
            atexit.register(_end, loop, thread, os.getpid())
        return loop


def wait_for(
    work: Coroutine[Any, Any, T],
    *,
    is_cancelled: Callable[[], bool] = lambda: False,
    calls: queue.SimpleQueue[Callable[[], object]] | None = None,
) -> T:
    """Run a coroutine on the loop, and wait for its end here.

    Args:
        work: what is to be done.
        is_cancelled: asked again and again; when it says yes the work is given up.
        calls: what the work wants to be called in this thread, in order.

    Raises:
        OctaCancelledError: `is_cancelled` said yes.
    """
    try:
        future = asyncio.run_coroutine_threadsafe(work, ssh_loop())
    except BaseException:
        # A signal came first: nobody will wait for it.
        work.close()
        raise
    if calls is not None:
        # Wakes whoever waits for the next call.
        future.add_done_callback(lambda _: calls.put(lambda: None))
    try:
        while not future.done():
            if is_cancelled():
                raise OctaCancelledError("cancelled while files moved, or a command ran, over SSH")
            if calls is None:
                concurrent.futures.wait([future], SLICE_S)
            else:
                with contextlib.suppress(queue.Empty):
                    call = calls.get(timeout=SLICE_S)
                    call()
        if calls is not None and future.exception() is None:
            while not calls.empty():
                calls.get()()
        return future.result()
    except BaseException:
        if future.cancel():
            # `cancel` only asks; what the work has open is closed by the work itself.
            with contextlib.suppress(RuntimeError):
                _settle(future)
        raise


def _settle(future: concurrent.futures.Future[T]) -> None:
    settled = threading.Event()
    # The task's own clean-up needs some rounds of the loop; this comes behind them.
    ssh_loop().call_soon_threadsafe(lambda: ssh_loop().call_later(0.05, settled.set))
    settled.wait(ENDING_S)


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # What is ended leaves requests without an answer; whoever waited for them has been told.
    log.debug("%s: %r", context.get("message"), context.get("exception"))


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, pid: int) -> None:
    if os.getpid() == pid and thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(1.0)
