"""`on_event`: a flow is told what happens to its job, and what it raises then costs neither job nor machine."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_run_logger
from prefect_server import PrefectServer
from renting import Renting
from this_run import this_run
from waiting_for import wait_for

from octa_provider import JobEvent, OctaConfigError
from octa_provider.job.events import JOB_EVENT_KINDS
from prefect_blocks import OctaJob
from prefect_blocks.tasks import arun_job, run_job

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("server", "run_logs")]

QUICK: dict[str, Any] = {"image": "alpine:3", "command": "echo 1/2; sleep 0.5; echo 2/2", "poll_s": 0.2}
ALL = ["started", "ready", "line", "progress", "line", "progress", "ended", "stopped"]


@pytest.mark.parametrize("form", ["run", "arun", "trigger", "run_job", "arun_job", "submit"])
def test_a_flow_is_told_what_happens_to_its_job(renting: Renting, form: str) -> None:
    events: list[JobEvent] = []

    @flow
    def steps() -> None:
        if form == "run":
            OctaJob(**QUICK).run(on_event=events.append)
        elif form == "trigger":
            run = OctaJob(**QUICK).trigger(on_event=events.append)
            run.wait_for_completion()
        elif form == "submit":
            run_job.submit(**QUICK, on_event=events.append).result()
        else:
            run_job(**QUICK, on_event=events.append)

    @flow(name="steps")
    async def coroutine() -> None:
        if form == "arun":
            await OctaJob(**QUICK).arun(on_event=events.append)
        else:
            await arun_job(**QUICK, on_event=events.append)

    if form in {"arun", "arun_job"}:
        asyncio.run(coroutine())
    else:
        steps()
    assert [event.kind for event in events] == ALL
    (session,) = renting.sessions
    assert {event.uuid for event in events} == {session["uuid"]}
    assert events[-1].cost_wei == session["charge_wei"]


def test_progress_is_told_as_the_block_reads_it(renting: Renting) -> None:
    events: list[JobEvent] = []

    @flow
    def steps() -> None:
        job = OctaJob(**QUICK | {"command": "echo 10%; echo step 1"}, progress=r"step (?P<done>\d+)", progress_total=4)
        job.run(on_event=events.append)

    steps()
    assert [event.progress for event in events if event.kind == "progress"] == [0.25]


@pytest.mark.parametrize("kind", JOB_EVENT_KINDS)
def test_a_callback_that_raises_neither_fails_the_flow_nor_leaves_a_machine(renting: Renting, kind: str) -> None:
    told: list[str] = []

    def breaks(event: JobEvent) -> None:
        told.append(event.kind)
        if event.kind == kind:
            raise ValueError("no such channel")

    @flow
    def steps() -> int | None:
        return OctaJob(**QUICK).run(on_event=breaks).exit_code

    assert steps() == 0
    assert told == ALL
    assert (len(renting.sessions), renting.running()) == (1, [])


def test_who_interrupts_in_a_callback_has_the_machine_stopped(renting: Renting) -> None:
    def interrupts(event: JobEvent) -> None:
        if event.kind == "ready":
            raise KeyboardInterrupt

    @flow
    def steps() -> None:
        OctaJob(**QUICK | {"command": "sleep 3600"}).run(on_event=interrupts)

    with pytest.raises(KeyboardInterrupt):
        steps()
    assert (len(renting.sessions), renting.running()) == (1, [])


def test_what_a_callback_logs_is_in_the_runs_log(server: PrefectServer, renting: Renting) -> None:
    def logs(event: JobEvent) -> None:
        get_run_logger().info("heard %s", event.kind)

    @flow
    def steps() -> str:
        OctaJob(**QUICK).run(on_event=logs)
        return this_run()

    flow_run_id = steps()
    wait_for(lambda: "heard stopped" in server.logs_of(flow_run_id), "what the callback has logged")


def test_a_callback_is_part_of_no_cache_key_even_one_that_nobody_can_pickle(
    renting: Renting, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[list[str]] = [[], []]

    def listening(number: int) -> Any:
        # A lock can be neither hashed nor pickled, nor can what holds one.
        lock = threading.Lock()

        def on_event(event: JobEvent) -> None:
            with lock:
                told[number].append(event.kind)

        return on_event

    @flow(persist_result=True)
    def steps() -> list[str]:
        return [run_job(**QUICK, on_event=listening(number))["uuid"] for number in (0, 1)]

    first, second = steps()
    assert first == second
    assert len(renting.sessions) == 1
    assert told == [ALL, []]
    assert "HashError" not in caplog.text


def test_a_try_in_the_same_process_is_told_from_where_it_carries_on(renting: Renting, tmp_path: Path) -> None:
    first: list[str] = []
    second: list[str] = []

    @flow
    def steps() -> None:
        waits = f"while [ ! -e {tmp_path}/end ]; do sleep 0.1; done"
        job = OctaJob(**QUICK | {"command": f"echo one; {waits}; echo two"})
        job.trigger("same", on_event=lambda event: first.append(event.kind))
        wait_for(lambda: "line" in first, "the first line")
        run = job.trigger("same", on_event=lambda event: second.append(event.kind))
        (tmp_path / "end").touch()
        run.wait_for_completion()

    steps()
    assert first == ["started", "ready", "line"]
    assert second == ["line", "ended", "stopped"]
    assert len(renting.sessions) == 1


def test_what_nobody_would_await_is_refused_before_anything_is_rented(renting: Renting) -> None:
    async def nobody_awaits(event: JobEvent) -> None:
        pass

    with pytest.raises(OctaConfigError, match="on_event must be a plain function"):
        OctaJob(**QUICK).trigger(on_event=nobody_awaits)
    assert renting.sessions == []
