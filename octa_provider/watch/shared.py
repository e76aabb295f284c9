"""One thing per key and process, made by its first user and let go with its last."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["SharedByUsers"]

T = TypeVar("T")


@dataclass
class _Entry(Generic[T]):
    thing: T
    users: int = 0


class SharedByUsers(Generic[T]):
    """Things that several users share, counted by their users. Safe to use from several threads."""

    def __init__(self) -> None:
        self._start_empty()
        if hasattr(os, "register_at_fork"):
            # A forked child has none of its parent's threads, and perhaps a lock that one of them held.
            os.register_at_fork(after_in_child=self._start_empty)

    def _start_empty(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry[T]] = {}

    def __len__(self) -> int:
        """How many things are in use."""
        return len(self._entries)

    @contextmanager
    def use(self, key: Hashable, make: Callable[[], T]) -> Iterator[T]:
        """The thing of a key, for the length of a `with` block; made when nobody else uses it.

        Args:
            key: tells one thing from another.
            make: makes it.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(make())
            entry.users += 1
        try:
            yield entry.thing
        finally:
            with self._lock:
                entry.users -= 1
                # After a fork the entry may be another one's.
                if not entry.users and self._entries.get(key) is entry:
                    del self._entries[key]
