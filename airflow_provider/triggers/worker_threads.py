"""Threads for what blocks, shared by every trigger of a triggerer process, so that its event loop never waits."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["THREADS", "in_thread"]

#: The loop's own executor has a handful of threads, and others need them too. Most of the time these wait for answers.
THREADS = 32

T = TypeVar("T")


@functools.lru_cache(maxsize=1)
def _threads(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="octa-trigger")


async def in_thread(call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call something that blocks. A cancelled wait leaves it running to its end.

    Its log lines go to the trigger's task, as those of the coroutine do.
    """
    context = contextvars.copy_context()
    work = functools.partial(context.run, functools.partial(call, *arguments, **options))
    # By process: a fork inherits the executor without its threads.
    return await asyncio.get_running_loop().run_in_executor(_threads(os.getpid()), work)
