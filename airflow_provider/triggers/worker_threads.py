"""Threads for what blocks, so that the event loop of a triggerer process never waits.

Each connection has its own: one whose API hangs holds up its own triggers, and those of nobody else.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
from collections.abc import Awaitable, Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from airflow_provider.supervisor import note_loop

__all__ = ["THREADS", "in_thread", "threads_of", "to_the_end"]

#: Of each connection, made when they are needed. The loop's own executor has a handful, and others need them too. Most
#: of the time these wait for answers.
THREADS = 32

_at_work: set[asyncio.Future[Any]] = set()
_whose: contextvars.ContextVar[Hashable] = contextvars.ContextVar("octa_threads_of", default=None)

T = TypeVar("T")


@functools.cache
def _threads(process: int, whose: Hashable) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="octa-trigger")


@contextmanager
def threads_of(whose: Hashable) -> Iterator[None]:
    """Within the block, `in_thread` of this coroutine uses threads that are this connection's own.

    Args:
        whose: tells connections apart.
    """
    before = _whose.set(whose)
    try:
        yield
    finally:
        # A coroutine that is thrown away ends in another context, where there is nothing to reset.
        with suppress(ValueError):
            _whose.reset(before)


async def to_the_end(work: Awaitable[T]) -> T:
    """Await what goes on to its end although this wait is cancelled.

    Airflow cancels a trigger again each second, until it has ended (`cancel_triggers` of
    `airflow/jobs/triggerer_job_runner.py`, each version): what the first cancel began must not be ended by the second.

    Args:
        work: what to await.
    """
    task = asyncio.ensure_future(work)
    # A loop keeps no task that nobody else does.
    _at_work.add(task)
    task.add_done_callback(_at_work.discard)
    return await asyncio.shield(task)


async def in_thread(call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call something that blocks. A cancelled wait leaves it running to its end.

    Its log lines go to the trigger's task, as those of the coroutine do.
    """
    note_loop()
    context = contextvars.copy_context()
    work = functools.partial(context.run, functools.partial(call, *arguments, **options))
    # By process: a fork inherits the executor without its threads.
    return await asyncio.get_running_loop().run_in_executor(_threads(os.getpid(), _whose.get()), work)
