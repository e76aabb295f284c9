"""Waiting for the thing itself, however slow the machine is, and doing something once it is there.

No test may tell by the wall clock what has happened by then: every process may stand still for half a minute.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import Renting

from airflow_provider.triggers.batch import OctaBatchTrigger
from airflow_provider.triggers.job import OctaJobTrigger
from octa_provider import JobState
from octa_provider.job.jobs import Jobs
from octa_provider.timing.clock import SYSTEM_CLOCK

#: Nothing is waited for longer; less than a test may take.
PATIENCE_S = 800.0
_LOOK_S = 0.05


def until(what: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "what should come never came"
        time.sleep(_LOOK_S)


def once(what: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """Do something in a thread of its own as soon as something else is so; the test joins it."""

    def wait() -> None:
        until(what)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def once_there(file: Path) -> str:
    """A shell command that waits for a file: emulated machines are processes on this computer, and see it."""
    return f"while [ ! -e {file} ]; do sleep 0.1; done"


def is_followed(renting: Renting, begun: Path, after: int = 0) -> bool:
    """Whether the command of a job has begun, which makes a file, and somebody has looked at its session.

    Args:
        renting: what knows the session.
        begun: the file.
        after: how many requests there were before the look.
    """
    if not begun.exists():
        return False
    running = renting.running()
    asked = [one["path"] for one in renting.emulator.ledger()["requests"][after:] if one["method"] == "GET"]
    return any(uuid in path for path in asked for uuid in running)


def first_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time in which its machine must be up is over at once for what a job starts first, and not for another one."""
    start = Jobs.start

    def is_late(jobs: Jobs, *arguments: Any, **options: Any) -> JobState:
        return start(jobs, *arguments, **options).having(ready_by=SYSTEM_CLOCK.steady_time())

    monkeypatch.setattr(Jobs, "start", is_late)


@contextmanager
def noted_triggers(kind: type[Any], begins: Callable[[Any], object] = lambda trigger: None) -> Iterator[list[Any]]:
    """The triggers of one kind that `dag.test()` runs within a block, each as soon as it is run.

    Args:
        kind: the trigger's class.
        begins: told each, before it does anything.
    """
    run: Callable[[Any], AsyncIterator[Any]] = kind.run
    begun: list[Any] = []

    def noted(trigger: Any) -> AsyncIterator[Any]:
        begins(trigger)
        begun.append(trigger)
        return run(trigger)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "run", noted)
        yield begun


@contextmanager
def time_is_over_once(what: Callable[[], object], *, deferred: bool) -> Iterator[None]:
    """The `execution_timeout` of a task, an hour, say, is over as soon as something is so.

    On a worker as Airflow tells it, by an alarm; deferred, as a trigger tells it, which knows when it is over.

    Args:
        what: what is so while the task's command runs.
        deferred: whether the task waits in a trigger then.
    """

    def ends() -> None:
        if not deferred:
            os.kill(os.getpid(), signal.SIGALRM)
            return
        until(lambda: begun)
        begun[-1].deadline_at = time.time()

    with noted_triggers(OctaJobTrigger) as begun:
        ending = once(what, ends)
        yield
        ending.join()


@contextmanager
def pauses_end_at_once(*, time_is_over: bool = False) -> Iterator[list[Any]]:
    """A batch that is deferred is looked after by a worker again a moment later, not when its machines may be idle.

    Args:
        time_is_over: whether the task's `execution_timeout` is over by then.
    """

    def begins(trigger: Any) -> None:
        trigger.wake_at = time.time() + 1.0
        if time_is_over:
            trigger.deadline_at = trigger.wake_at

    with noted_triggers(OctaBatchTrigger, begins) as begun:
        yield begun
