"""Threads of the page's own: what waits for OctaSpace must not keep Airflow's own threads from answering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

__all__ = ["in_looking_thread", "in_stopping_thread"]

T = TypeVar("T")

#: A stop may take a minute; those who only look must not wait for it.
_LOOKING, _STOPPING = 4, 8


async def in_looking_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function that asks what runs.

    Args:
        function: called with `args`.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads("octa-look", _LOOKING), partial(function, *args))


async def in_stopping_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function that stops something.

    Args:
        function: called with `args`.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads("octa-stop", _STOPPING), partial(function, *args))


@cache
def _threads(name: str, most: int) -> ThreadPoolExecutor:
    # Made when first asked for: a server that forks its workers has none to lose.
    return ThreadPoolExecutor(most, name)
