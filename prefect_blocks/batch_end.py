"""How a batch learns that its run, or its process, is ending: it stops its machines then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect_blocks.at_exit import end_with_process, note_ended
from prefect_blocks.in_thread import cancellation

__all__ = ["told_of_the_end"]


class _Ending:
    """A batch in a thread, which signals never reach."""

    def __init__(self) -> None:
        self.is_to_end = False
        self._has_ended = threading.Event()

    @property
    def ended(self) -> bool:
        return self._has_ended.is_set()

    def end(self, why: str) -> None:
        self.is_to_end = True

    def note(self) -> None:
        note_ended(self)
        self._has_ended.set()


@contextmanager
def told_of_the_end() -> Iterator[Callable[[], bool]]:
    """Run a batch in the block; yields what the core asks whether it has been taken back.

    In the main thread a signal raises within the block, and the core stops the machines on the way out. In any other
    thread the process waits at its end, however it ends, until the block has been left.
    """
    is_cancelled = cancellation()
    if threading.current_thread() is threading.main_thread():
        yield is_cancelled
        return
    ending = _Ending()
    end_with_process(ending)
    try:
        yield lambda: ending.is_to_end or is_cancelled()
    finally:
        ending.note()
