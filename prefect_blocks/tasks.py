"""The tasks: each in two forms over one function, a plain one and one for coroutines whose name begins with `a`.

A task that is tried again adopts what its earlier try started: its rental key stays. No task's result is taken from a
cache, since a session of yesterday is gone today; `run_job` alone, whose result is files and numbers, can be cached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import DEFAULT, NO_CACHE

from prefect_blocks import job_task, session_log, session_start, session_stop, session_wait
from prefect_blocks.awaitable import awaitable_too
from prefect_blocks.in_thread import async_twin
from prefect_blocks.own_runs import OctaTask

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


def _live(work: Callable[P, T]) -> Task[P, T]:
    """A task about live sessions, which no cache may answer; not even one that a flow or a caller switches on."""
    return OctaTask(work, name=f"octa_{work.__name__}", cache_policy=NO_CACHE, refresh_cache=True, tags={"octaspace"})


def _starting(work: Callable[P, T]) -> Task[P, T]:
    """A live task whose session is stopped when a later step of its transaction fails."""
    task = _live(work)
    task.on_rollback(session_start.stop_started)
    return task


def _cacheable(work: Callable[P, T]) -> Task[P, T]:
    # Keys are no inputs: other ones give the same result, and none belongs into a cache key, not even its hash. Nor is
    # who is told what happens, or how the session is labelled.
    policy = DEFAULT - "credentials" - "secret_envs" - "on_event" - "labels"
    return OctaTask(work, name=f"octa_{work.__name__}", cache_policy=policy, tags={"octaspace"})


find_machines = _live(awaitable_too(session_start.find_machines))
afind_machines = _live(async_twin(session_start.find_machines))
start_machine = _starting(awaitable_too(session_start.start_machine))
astart_machine = _starting(async_twin(session_start.start_machine, session_start.stop_unwanted))
start_render = _starting(awaitable_too(session_start.start_render))
astart_render = _starting(async_twin(session_start.start_render, session_start.stop_unwanted))
start_vpn = _starting(awaitable_too(session_start.start_vpn))
astart_vpn = _starting(async_twin(session_start.start_vpn, session_start.stop_unwanted))
wait_until_ready = _live(awaitable_too(session_wait.wait_until_ready))
await_until_ready = _live(session_wait.await_until_ready)
fetch_logs = _live(awaitable_too(session_log.fetch_logs))
afetch_logs = _live(async_twin(session_log.fetch_logs))
stop_session = _live(awaitable_too(session_stop.stop_session))
astop_session = _live(async_twin(session_stop.stop_session))
run_job = _cacheable(awaitable_too(job_task.run_job))
arun_job = _cacheable(async_twin(job_task.run_job))
