"""What a task or a trigger of Airflow 3 asks its Airflow: one question and its answer, from whatever thread.

None of this is promised (apache/airflow `task-sdk/src/airflow/sdk/execution_time/comms.py`), and the ways that are,
`XCom.get_one` and the like, can't be used in a thread of a triggerer: before 3.2.2 they read the answer on a loop of
their own, take one that the triggerer waits for, and end it with all that waits in it (apache/airflow#64620, mended in
apache/airflow#66412). So each question of ours is put on the triggerer's loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any

from airflow_provider.exceptions import OctaAirflowUnreachableError

__all__ = ["ANSWER_S", "ask", "asks_on_loop", "note_loop", "supervisor"]

#: Seconds that a triggerer has for an answer. It asks its database, and a thousand triggers may ask at once.
ANSWER_S = 120.0
_LOOK_S = 1.0

#: Several sessions are stopped at the same time, and the first releases of Airflow 3 mix up what two threads ask.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class _Triggerer:
    """The loop that triggers run on, of this process."""

    process: int
    thread: int
    loop: asyncio.AbstractEventLoop


_triggerer: _Triggerer | None = None


def note_loop() -> None:
    """Remember that triggers run on this coroutine's loop: questions of its threads are put on it."""
    global _triggerer
    loop = asyncio.get_running_loop()
    if _triggerer is None or _triggerer.loop is not loop:
        # By process: a fork inherits the name without the loop's thread.
        _triggerer = _Triggerer(os.getpid(), threading.get_ident(), loop)


def supervisor() -> Any:
    """What a task or a trigger of Airflow 3 asks its Airflow through; None elsewhere."""
    try:
        from airflow.sdk.execution_time import task_runner
    except ImportError:
        return None
    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def asks_on_loop() -> bool:
    """Whether there is a triggerer's loop to ask on: `dag.test()` runs a trigger where nothing is asynchronous."""
    return hasattr(supervisor(), "asend")


def ask(question: Any) -> Any:
    """Ask, and wait for the answer; in a triggerer only from another thread than its loop's.

    Args:
        question: one of `airflow.sdk.execution_time.comms`.

    Raises:
        OctaAirflowUnreachableError: no triggerer's answer in time, or there is nobody to ask.
        Exception: Airflow refuses; each has its own.
    """
    comms = supervisor()
    if comms is None:
        raise OctaAirflowUnreachableError("Only a task or a trigger can ask its Airflow this; this process is neither.")
    loop = _loop_of_another_thread()
    if loop is None or not asks_on_loop():
        with _one_at_a_time:
            return comms.send(question)
    answer = asyncio.run_coroutine_threadsafe(comms.asend(question), loop)
    until = time.monotonic() + ANSWER_S
    # A triggerer that has shut down answers no more, and its process does not end before this thread does.
    while not answer.done() and loop.is_running() and (left := until - time.monotonic()) > 0:
        wait([answer], timeout=min(left, _LOOK_S))
    # It is not cancelled: before 3.2.2 its answer would be taken for that of the next question. When the line to the
    # supervisor ends, that is an error there; from then on it cancels what waits.
    if not answer.done() or answer.cancelled() or isinstance(answer.exception(), (EOFError, OSError)):
        raise OctaAirflowUnreachableError(f"The triggerer has not answered within {ANSWER_S:.0f} s, or has shut down.")
    return answer.result()


def _loop_of_another_thread() -> asyncio.AbstractEventLoop | None:
    here = _triggerer
    if here is None or here.process != os.getpid() or here.thread == threading.get_ident():
        return None
    return here.loop if here.loop.is_running() else None
