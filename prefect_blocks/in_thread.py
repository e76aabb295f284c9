"""Blocking work for coroutines, and how blocking work learns that it should stop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, TypeVar

import anyio
from prefect.context import FlowRunContext, TaskRunContext

from octa_provider.errors import OctaCancelledError
from octa_provider.text.loggers import plain_logger
from prefect_blocks.at_exit import hearing_signals

__all__ = ["async_twin", "cancellation", "run_in_thread", "run_in_thread_or_leave", "run_in_thread_or_undo"]

log = plain_logger("prefect_blocks.in_thread")

P = ParamSpec("P")
T = TypeVar("T")

_coroutine_cancelled: ContextVar[threading.Event | None] = ContextVar("octa_coroutine_cancelled", default=None)


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking work in a thread of its own, with the caller's context.

    A pool of a few threads would let the seventh job wait for the first to end. When the coroutine is cancelled the
    work is told (see `cancellation`) and waited for: what it rented must be stopped before the event loop is gone.

    Args:
        work: the blocking work.
        args: its positional arguments.
        kwargs: its named arguments.

    Returns:
        What the work returns; what it raises is raised here.
    """
    return await run_in_thread_or_undo(functools.partial(work, *args, **kwargs), lambda result: None)


async def run_in_thread_or_undo(work: Callable[[], T], undo: Callable[[T], object]) -> T:
    """As `run_in_thread`; undoes a result that came when its coroutine had just been cancelled: nobody has it.

    Args:
        work: the blocking work.
        undo: told such a result; runs in a thread too.

    Returns:
        What the work returns; what it raises is raised here.

    Raises:
        asyncio.CancelledError: the coroutine was cancelled; the work has ended, and its result was undone.
    """
    with hearing_signals():
        done, cancelled = _begin(work)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            cancelled.set()
            with anyio.CancelScope(shield=True):
                if await _at_its_end(done) is None:
                    await _at_its_end(asyncio.ensure_future(asyncio.to_thread(undo, done.result())))
            raise


async def _at_its_end(work: asyncio.Future[Any]) -> BaseException | None:
    """What work failed with whose coroutine was cancelled; its errors are logged, since the cancellation goes on."""
    while not work.done():
        # Cancelled once more: it is waited for all the same, or what was rented is nobody's.
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    error = None if work.cancelled() else work.exception()
    if error is not None and not isinstance(error, OctaCancelledError):
        log.error("while it was cancelled: %s: %s", type(error).__name__, error)
    return error


async def run_in_thread_or_leave(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work in a thread that ends with its machine: when the coroutine is cancelled it is not waited for.

    Args:
        work: the blocking work.
        args: its positional arguments.
        kwargs: its named arguments.

    Returns:
        What the work returns; what it raises is raised here.

    Raises:
        asyncio.CancelledError: the coroutine was cancelled; the work goes on.
    """
    done, _ = _begin(functools.partial(work, *args, **kwargs))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        # Nobody will look at how it ended.
        done.add_done_callback(lambda ended: ended.exception())
        raise


def _begin(work: Callable[[], T]) -> tuple[asyncio.Future[T], threading.Event]:
    """A thread for the work: the future of what it comes to, and the event that tells it of a cancellation."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    cancelled = threading.Event()
    context = copy_context()
    context.run(_coroutine_cancelled.set, cancelled)

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = context.run(work)
        except BaseException as raised:  # noqa: BLE001 - it is the caller's, and raised there
            error = raised
        # A loop that was closed has nobody left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="octa-in-thread", daemon=True).start()
    return done, cancelled


def async_twin(
    work: Callable[P, T], undo: Callable[[T, Any], object] | None = None
) -> Callable[P, Coroutine[Any, Any, T]]:
    """The coroutine function that does the same in a thread; its name begins with `a`.

    Args:
        work: the plain function.
        undo: undoes a result that nobody got; told it and the `credentials` of the call.
    """

    @functools.wraps(work)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        if undo is None:
            return await run_in_thread(work, *args, **kwargs)
        credentials = kwargs.get("credentials")
        return await run_in_thread_or_undo(
            functools.partial(work, *args, **kwargs), lambda result: undo(result, credentials)
        )

    twin.__name__ = f"a{work.__name__}"
    twin.__qualname__ = twin.__name__
    return twin


def cancellation() -> Callable[[], bool]:
    """A question for the core's `is_cancelled`: whether the run that asks here and now is being ended.

    A signal raises in the main thread alone. Work of a coroutine is in a thread, and so is a submitted task: there the
    task runner notes the end of the flow run for each of its tasks, and that is all that tells.
    """
    coroutine = _coroutine_cancelled.get()
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    # Not part of Prefect's public interface, so it may be missing: then only signals and coroutines end the work.
    submitted = getattr(flow.task_runner, "_cancel_events", {}) if task is not None and flow is not None else {}
    runner = submitted.get(task.task_run.id) if task is not None else None
    events = [event for event in (coroutine, runner) if event is not None]
    return lambda: any(event.is_set() for event in events)
