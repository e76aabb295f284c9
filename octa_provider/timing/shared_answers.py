"""Answers that everybody who waits in this process shares: one request an interval, however many want to know."""

from __future__ import annotations

import copy
import os
import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from octa_provider.errors import OctaCancelledError, OctaError
from octa_provider.timing.clock import Clock

__all__ = ["SharedAnswers", "answers_of"]

T = TypeVar("T")

#: Who waits for another one's request asks so often whether it still wants the answer.
_SLICE_S = 0.2
#: And asks itself after so long: a signal may have taken away who was about to ask.
_TAKE_OVER_S = 60.0


@dataclass(frozen=True)
class _Answer:
    """What came, or the error that came instead of it, and when it was asked for."""

    value: Any
    asked_at: float


class SharedAnswers:
    """Answers by name. Safe to share between threads.

    Args:
        clock: what their age is counted by.
    """

    def __init__(self, clock: Clock) -> None:
        # The registry's key is the clock, which a strong reference here would keep for ever.
        self._clock = weakref.ref(clock)
        self._changed = threading.Condition()
        self._answers: dict[str, _Answer] = {}
        self._asking: set[str] = set()

    def ask(
        self,
        name: str,
        question: Callable[[], T],
        *,
        max_age_s: float,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> T:
        """The answer, as somebody else got it or by asking now; one asks at a time, the others wait for that.

        An error is shared as an answer is: a host that is away is not asked by everybody either.

        Args:
            name: tells one question from another.
            question: what asks.
            max_age_s: how old an answer may be, in seconds; what is older is asked for again.
            is_cancelled: ends the wait for somebody else's request.

        Raises:
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: what the question raised, for this one or for another one who asked it.
        """
        waited_s = 0.0
        with self._changed:
            while True:
                known = self._answers.get(name)
                if known is not None and self._now() - known.asked_at < max_age_s:
                    break
                if name not in self._asking or waited_s >= _TAKE_OVER_S:
                    self._asking.add(name)
                    known = None
                    break
                if is_cancelled():
                    raise OctaCancelledError("nobody wants the answer any more")
                self._changed.wait(_SLICE_S)
                waited_s += _SLICE_S
        if known is None:
            known = self._asked(name, question)
        if isinstance(known.value, OctaError):
            # Each its own: an error that many threads raise at once gathers all their tracebacks.
            raise copy.copy(known.value)
        return cast(T, known.value)

    def _asked(self, name: str, question: Callable[[], Any]) -> _Answer:
        answer: _Answer | None = None
        asked_at = self._now()
        try:
            try:
                answer = _Answer(question(), asked_at)
            except OctaCancelledError:
                # Of this one alone: the next who wants to know asks.
                raise
            except OctaError as error:
                answer = _Answer(error, asked_at)
            return answer
        finally:
            with self._changed:
                self._asking.discard(name)
                if answer is not None:
                    self._answers[name] = answer
                self._changed.notify_all()

    def _now(self) -> float:
        clock = self._clock()
        assert clock is not None, "who asks holds the clock"
        return clock.monotonic()


_lock = threading.Lock()
#: By clock as well: times of different clocks can't be compared.
_shared: weakref.WeakKeyDictionary[Clock, dict[Hashable, SharedAnswers]] = weakref.WeakKeyDictionary()


def answers_of(account: Hashable, clock: Clock) -> SharedAnswers:
    """The answers that all clients of an account in this process share, as far as they have the same clock.

    Args:
        account: tells accounts apart, as `Transport.account` does.
        clock: the client's.
    """
    with _lock:
        return _shared.setdefault(clock, {}).setdefault(account, SharedAnswers(clock))


def _forget_in_child() -> None:
    global _lock, _shared
    # A fork may copy locks while they are held, and requests whose answers only the parent gets.
    _lock = threading.Lock()
    _shared = weakref.WeakKeyDictionary()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
