"""The tasks: each in two forms over one function, a plain one and one for coroutines whose name begins with `a`.

A task that is tried again adopts what its earlier try started: its rental key stays. No task's result is taken from a
cache, since a session of yesterday is gone today; `run_job` alone, whose result is files and numbers, can be cached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import DEFAULT, NO_CACHE

from prefect_blocks import ending, ready, running, starting
from prefect_blocks.at_exit import hear_signals
from prefect_blocks.in_thread import async_twin

__all__ = [
    "afetch_logs",
    "afind_machines",
    "arun_job",
    "astart_machine",
    "astart_render",
    "astart_vpn",
    "astop_session",
    "await_until_ready",
    "fetch_logs",
    "find_machines",
    "run_job",
    "start_machine",
    "start_render",
    "start_vpn",
    "stop_session",
    "wait_until_ready",
]

P = ParamSpec("P")
T = TypeVar("T")


class OctaTask(Task[P, T]):
    """A task that hears signals where it is submitted: they reach the main thread alone, and it works in another."""

    if not TYPE_CHECKING:

        def submit(self, *args, **kwargs):
            hear_signals()
            return super().submit(*args, **kwargs)

        def map(self, *args, **kwargs):
            hear_signals()
            return super().map(*args, **kwargs)


def _live(work: Callable[P, T]) -> Task[P, T]:
    """A task about live sessions, which no cache may answer; not even one that a flow or a caller switches on."""
    return OctaTask(work, name=f"octa_{work.__name__}", cache_policy=NO_CACHE, refresh_cache=True, tags={"octaspace"})


def _starting(work: Callable[P, T]) -> Task[P, T]:
    """A live task whose session is stopped when a later step of its transaction fails."""
    task = _live(work)
    task.on_rollback(starting.stop_started)
    return task


def _cacheable(work: Callable[P, T]) -> Task[P, T]:
    # Keys are no inputs: other ones give the same result, and none belongs into a cache key, not even its hash.
    policy = DEFAULT - "credentials" - "secret_envs"
    return OctaTask(work, name=f"octa_{work.__name__}", cache_policy=policy, tags={"octaspace"})


find_machines = _live(starting.find_machines)
afind_machines = _live(async_twin(starting.find_machines))
start_machine = _starting(starting.start_machine)
astart_machine = _starting(async_twin(starting.start_machine, starting.stop_unwanted))
start_render = _starting(starting.start_render)
astart_render = _starting(async_twin(starting.start_render, starting.stop_unwanted))
start_vpn = _starting(starting.start_vpn)
astart_vpn = _starting(async_twin(starting.start_vpn, starting.stop_unwanted))
wait_until_ready = _live(ready.wait_until_ready)
await_until_ready = _live(ready.await_until_ready)
fetch_logs = _live(ending.fetch_logs)
afetch_logs = _live(async_twin(ending.fetch_logs))
stop_session = _live(ending.stop_session)
astop_session = _live(async_twin(ending.stop_session))
run_job = _cacheable(running.run_job)
arun_job = _cacheable(async_twin(running.run_job))
