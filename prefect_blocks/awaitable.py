"""Plain verbs that are awaited: they have done their work by then, and `await` must not fail after it was paid for."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable, Coroutine, Generator
from dataclasses import is_dataclass
from typing import Any, ParamSpec, TypeVar

__all__ = ["as_awaitable", "awaitable_too"]

P = ParamSpec("P")
T = TypeVar("T")


class _Awaitable:
    """What is there already, as a coroutine: `asyncio.create_task` and task groups take nothing else."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Any]:
        return _itself(self._awaited()).__await__()

    def send(self, _: object) -> None:
        raise StopIteration(self._awaited())

    def throw(self, kind: Any, *value_and_traceback: object) -> None:
        raise kind

    def close(self) -> None:
        pass

    def _awaited(self) -> object:
        return self


class _Nothing(_Awaitable):
    """What a verb returns that returns nothing."""

    def _awaited(self) -> None:
        return None

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "None"


def awaitable_too(work: Callable[P, T]) -> Callable[P, T]:
    """A plain verb whose result can be awaited where it is called on an event loop; the loop stands still meanwhile.

    Where no event loop runs in the thread, what it returns is returned as it is.

    Args:
        work: the verb.
    """

    returns_nothing = work.__annotations__.get("return") in ("None", None)

    @functools.wraps(work)
    def verb(*args: P.args, **kwargs: P.kwargs) -> T:
        result = work(*args, **kwargs)
        if result is None and returns_nothing and _is_on_a_loop():
            return _Nothing()  # type: ignore[return-value]
        return as_awaitable(result)

    return verb


def as_awaitable(value: T) -> T:
    """A value that can be used as before, and awaited, which gives it, where an event loop runs in this thread.

    Args:
        value: a verb's result. None, and one of a type that can't be extended, stay as they are.
    """
    if value is None or not _is_on_a_loop() or isinstance(value, Coroutine):
        return value
    made: Any = value
    of: Any = type(value)
    if isinstance(value, dict | list):
        made = _extended(of)(value)
    else:
        # Others may hold a value that counts by what it says; of a handle there is one.
        made = copy.copy(value) if is_dataclass(value) else value
        try:
            object.__setattr__(made, "__class__", _extended(of))
        except TypeError:
            return value
    return made  # type: ignore[no-any-return]


async def _itself(value: T) -> T:
    return value


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@functools.cache
def _extended(base: Any) -> Any:
    """The type with `await`; in another process, and in a stored result, a value is of the type itself."""

    def reduce(self: Any, protocol: Any) -> Any:
        # Of a later protocol's, pickle sees to it that the type is the value's.
        how, of, *rest = base.__reduce_ex__(self, 1)
        return (how, tuple(base if one is made else one for one in of), *rest)

    def equals(self: Any, other: object) -> Any:
        # A copy is made as `reduce` says: of the type itself, which dataclasses look at.
        return base.__eq__(*(copy.copy(one) if isinstance(one, made) else one for one in (self, other)))

    names: dict[str, Any] = {"__reduce_ex__": reduce}
    names |= {name: getattr(base, name) for name in ("__module__", "__qualname__", "__doc__")}
    if is_dataclass(base):
        names |= {"__eq__": equals, "__hash__": base.__hash__}
    elif base.__hash__ is None:
        # `asyncio.gather` keeps what it waits for in a dictionary.
        names["__hash__"] = object.__hash__
    # What the type has of these names itself stays.
    made = type(base)(base.__name__, (base, _Awaitable), names)
    return made
