"""Run triggers as a triggerer does: all on one event loop that nothing may hold up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from airflow_runs import Renting

from airflow_provider.triggers.batch import OctaBatchTrigger
from airflow_provider.triggers.job import OctaJobTrigger
from airflow_provider.triggers.machine import OctaMachineTrigger
from airflow_provider.triggers.session import OctaSessionReadyTrigger

T = TypeVar("T")
Trigger = OctaJobTrigger | OctaSessionReadyTrigger | OctaBatchTrigger | OctaMachineTrigger


async def event_of(trigger: Trigger) -> dict[str, Any]:
    """The one event of a trigger."""
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    return dict(events[0])


def all_events(*triggers: Trigger) -> list[dict[str, Any]]:
    """Run triggers at the same time; returns their events in the same order."""

    async def main() -> list[dict[str, Any]]:
        return await asyncio.gather(*(event_of(trigger) for trigger in triggers))

    return on_a_loop(main)


def on_a_loop(main: Callable[[], Coroutine[Any, Any, T]], patience_s: float = 800.0) -> T:
    """Run a coroutine on a loop of its own; a wait that never ends fails the test."""

    async def in_time() -> T:
        return await asyncio.wait_for(main(), patience_s)

    return asyncio.run(in_time())


async def once_watched(renting: Renting) -> None:
    """Wait until a trigger that has just been made a task has looked at the account's sessions."""

    def looks() -> int:
        return int(renting.emulator.ledger(requests=False)["request_counts"].get("GET /sessions", 0))

    before = looks()
    while looks() == before:
        await asyncio.sleep(0.05)


async def cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    """As a triggerer that shuts down ends its triggers."""
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
