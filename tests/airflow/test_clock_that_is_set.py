"""The wall clock of a triggerer's machine is set while a task waits: that neither ends its time nor adds to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import Renting
from on_a_loop import Trigger, event_of, on_a_loop, once_watched
from test_batch_trigger import batch_trigger
from test_machine_wait import EMPTY, trigger
from test_triggers import begun_job, begun_session, job_trigger, stopped

HOUR_S = 3600.0


def told(
    waits: Trigger,
    monkeypatch: pytest.MonkeyPatch,
    set_by_s: float,
    began: Callable[[], Coroutine[Any, Any, None]],
    then: Callable[[], Any],
) -> dict[str, Any]:
    """The event of a trigger whose machine's clock is set once it has begun, and what happens `then`."""

    async def main() -> dict[str, Any]:
        task, real = asyncio.create_task(event_of(waits)), time.time
        # Where everything stands still for long, its time is over before it has begun.
        await asyncio.wait({task, asyncio.ensure_future(began())}, return_when=asyncio.FIRST_COMPLETED)
        monkeypatch.setattr(time, "time", lambda: real() + set_by_s)
        await asyncio.to_thread(then)
        return await task

    return on_a_loop(main)


def test_a_job_has_its_time_when_the_clock_is_set_forward(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    state = begun_job(renting, "clock-forward", f"while ! [ -e {go} ]; do sleep 0.2; done; sleep 2")
    waits = job_trigger(state, deadline_at=time.time() + HOUR_S / 2)
    event = told(waits, monkeypatch, HOUR_S, lambda: once_watched(renting), go.touch)
    assert (event["what"], event["result"]["outcome"]) == ("ended", "succeeded")
    assert renting.running() == []


def test_a_job_has_no_more_time_when_the_clock_is_set_back(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = job_trigger(begun_job(renting, "clock-back"), deadline_at=time.time() + 3)
    event = told(waits, monkeypatch, -HOUR_S, lambda: once_watched(renting), lambda: None)
    assert event["what"] == "deadline"
    assert renting.running() == []


@pytest.mark.parametrize(("set_by_s", "what"), [(HOUR_S, "due"), (-HOUR_S, "deadline")])
def test_a_batch_is_let_alone_as_long_as_it_was_to_be(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, set_by_s: float, what: str
) -> None:
    now, uuid = time.time(), begun_session(renting, f"clock-{what}")
    ends = {"due": (now + 3, now + HOUR_S / 2), "deadline": (now + HOUR_S / 2, now + 3)}[what]
    waits = batch_trigger([uuid], wake_at=ends[0], deadline_at=ends[1])
    event = told(waits, monkeypatch, set_by_s, lambda: once_watched(renting), lambda: None)
    assert event["what"] == what
    assert renting.running() == [uuid][: what == "due"]
    stopped(renting, *renting.running())


def test_a_machine_is_waited_for_as_long_when_the_clock_is_set_forward(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looks() -> int:
        return int(renting.emulator.ledger(requests=False)["request_counts"].get("GET /services/mr", 0))

    async def looked() -> None:
        before = looks()
        while looks() <= before:
            await asyncio.sleep(0.05)

    def come() -> None:
        # So that it looks in vain once more.
        time.sleep(1.0)
        renting.emulator.clear_faults()

    renting.emulator.faults(EMPTY)
    waits = trigger(until=time.time() + HOUR_S / 2)
    assert told(waits, monkeypatch, HOUR_S, looked, come)["what"] == "machine"
