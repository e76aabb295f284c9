"""Waiting for so long on an event loop, without losing a cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["within"]

T = TypeVar("T")


async def within(work: Awaitable[T], seconds: float | None) -> T:
    """What `work` comes to; it is cancelled where that takes longer.

    `asyncio.wait_for` of Python 3.10 and 3.11 forgets a cancel that comes in the moment in which the work is done, as
    it does on a loop that was held up: who was cancelled would go on.

    Args:
        work: a coroutine or a future.
        seconds: for so long; None for ever.

    Raises:
        asyncio.TimeoutError: it took longer.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    if not done:
        raise asyncio.TimeoutError
    return task.result()
