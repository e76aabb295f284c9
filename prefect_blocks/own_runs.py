"""Tasks and flows of this package: Prefect's, but for what is awaited of a plain one, and what hears signals."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import Flow, Task
from prefect.client.schemas.objects import State

from prefect_blocks.at_exit import hear_signals
from prefect_blocks.awaitable import as_awaitable, awaitable_too

__all__ = ["OctaFlow", "OctaTask", "octa_flow"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class OctaTask(Task[P, T]):
    """A task that hears signals where it is submitted: they reach the main thread alone, and it works in another."""

    if not TYPE_CHECKING:

        def __call__(self, *args, **kwargs):
            return _awaitable_state(super().__call__(*args, **kwargs))

        def submit(self, *args, **kwargs):
            hear_signals()
            return as_awaitable(super().submit(*args, **kwargs))

        def map(self, *args, **kwargs):
            hear_signals()
            return as_awaitable(super().map(*args, **kwargs))

        def apply_async(self, *args, **kwargs):
            return as_awaitable(super().apply_async(*args, **kwargs))

        def with_options(self, **options):
            return _as(OctaTask, super().with_options(**options))


class OctaFlow(Flow[P, R]):
    """A flow whose state can be awaited too, as its value can."""

    if not TYPE_CHECKING:

        def __call__(self, *args, **kwargs):
            return _awaitable_state(super().__call__(*args, **kwargs))

        def with_options(self, **options):
            return _as(OctaFlow, super().with_options(**options))


def octa_flow(**options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Prefect's `@flow`, for a flow of this package; its value can be awaited where a coroutine has called it.

    Args:
        options: Prefect's.
    """

    def make(work: Callable[P, R]) -> Flow[P, R]:
        verb: Any = awaitable_too(work)
        # Prefect looks for the types that its names mean where the function was written.
        verb.__signature__ = inspect.signature(work, eval_str=True)
        return OctaFlow(verb, **options)

    return make


def _awaitable_state(made: Any) -> Any:
    # A value is what the function itself has made: Prefect knows it again when it is another task's argument.
    return as_awaitable(made) if isinstance(made, State) else made


def _as(own: type, made: Any) -> Any:
    # Prefect makes one of its own class.
    made.__class__ = own
    return made
