"""The tasks, in flows against a real server and the emulator."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.transactions import transaction
from renting import Renting
from waiting_for import wait_for

from octa_provider.errors import (
    OctaConfigError,
    OctaNoMachineError,
    OctaSessionFailedError,
    OctaStopError,
    OctaWaitTimeoutError,
)
from prefect_blocks import JobFailedError, tasks

pytestmark = pytest.mark.usefixtures("server")
QUICK = {"poll_s": 0.2}


def test_start_wait_logs_stop(renting: Renting) -> None:
    @flow
    def steps() -> list[object]:
        offers = tasks.find_machines({"max_price_usd": 50}, limit=2)
        session = tasks.start_machine("alpine:3", start_command="echo hello; sleep 3600", http_ports=[80])
        ready = tasks.wait_until_ready(session, **QUICK)
        wait_for(lambda: tasks.fetch_logs.fn(session)["tail"], "its first line")
        bill = tasks.stop_session(ready, score=5)
        logs = tasks.fetch_logs(session)
        return [offers, session, ready, bill, logs]

    offers, session, ready, bill, logs = results = steps()
    assert json.loads(json.dumps(results)) == results
    assert len(json.dumps(results)) < 10_000
    assert [offer["price_usd"] for offer in offers] == sorted(offer["price_usd"] for offer in offers)
    assert session["uuid"] == ready["uuid"] == bill["uuid"] == logs["uuid"] == renting.sessions[0]["uuid"]
    assert ready["ssh"]["port"] > 0
    assert ready["urls"]["80"].startswith("http")
    assert int(bill["charge_wei"]) > 0
    assert logs["tail"] == ["hello"]
    assert renting.rental_keys[0].startswith("prefect/")


def test_the_same_for_coroutines(renting: Renting) -> None:
    @flow
    async def steps() -> list[object]:
        await tasks.afind_machines(limit=1)
        started = await asyncio.gather(tasks.astart_machine("alpine:3"), tasks.astart_render())
        await asyncio.gather(*(tasks.await_until_ready(session, **QUICK) for session in started))
        await tasks.afetch_logs(started[0])
        return [await tasks.astop_session(session) for session in started]

    bills = asyncio.run(steps())
    assert {bill["uuid"] for bill in bills} == {session["uuid"] for session in renting.sessions}


def test_vpn(renting: Renting) -> None:
    @flow
    def steps() -> dict[str, object]:
        session = tasks.start_vpn("wg")
        tasks.wait_until_ready(session, **QUICK)
        return tasks.stop_session(session)

    assert steps()["uuid"] == renting.sessions[0]["uuid"]


def test_a_task_that_is_tried_again_adopts(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect_blocks import session_start

    failures = iter([True, False])
    real = session_start.rental_json

    def fails_once(*args: object) -> object:
        if next(failures):
            # As when the process of the first try had died after the start: nothing is cleaned up.
            raise LookupError("the first try dies")
        return real(*args)

    monkeypatch.setattr(session_start, "rental_json", fails_once)
    monkeypatch.setattr("octa_provider.rental.rental.Rental.stop", lambda self: None)

    @flow
    def steps() -> dict[str, object]:
        return tasks.start_machine.with_options(retries=1)("alpine:3")

    session = steps()
    monkeypatch.undo()
    assert session["adopted"]
    assert len(renting.sessions) == 1
    renting.client().rentals.stop(session["key"])


def test_a_flow_run_that_is_tried_again_adopts_each_its_own(renting: Renting) -> None:
    tries: list[list[str]] = []

    @flow(retries=1)
    def steps() -> list[str]:
        alike = tasks.start_machine.map(["alpine:3"] * 3).result()
        other = tasks.start_machine("ubuntu:24.04")
        tries.append([session["uuid"] for session in [*alike, other]])
        if len(tries) == 1:
            raise RuntimeError("the first try fails")
        for session in [*alike, other]:
            tasks.stop_session(session)
        return tries[-1]

    steps()
    assert len(renting.sessions) == 4
    assert len(set(renting.rental_keys)) == 4
    assert len(set(tries[0])) == 4
    assert set(tries[0]) == set(tries[1])
    assert tries[0][3] == tries[1][3]


def test_two_runs_of_the_same_flow_share_nothing(renting: Renting) -> None:
    @flow
    async def steps() -> dict[str, object] | None:
        return await tasks.astop_session(await tasks.astart_machine("alpine:3"))

    async def both() -> None:
        await asyncio.gather(steps(), steps())

    asyncio.run(both())
    assert len(set(renting.rental_keys)) == len(renting.sessions) == 2


def test_a_cache_never_hands_back_a_dead_session(renting: Renting) -> None:
    @flow(persist_result=True)
    def steps() -> list[str]:
        start = tasks.start_machine.with_options(cache_policy=INPUTS, persist_result=True)
        uuids = []
        for _ in range(2):
            session = start("alpine:3")
            uuids.append(session["uuid"])
            tasks.stop_session(session)
        return uuids

    first, second = steps()
    assert first != second


def test_a_job_can_be_cached_whoever_pays(renting: Renting) -> None:
    from prefect_blocks import OctaCredentials

    other = OctaCredentials(api_key=renting.emulator.api_key, base_url=renting.emulator.base_url)

    @flow(persist_result=True)
    def steps() -> list[str]:
        return [tasks.run_job("alpine:3", "echo 1", **QUICK, credentials=c)["uuid"] for c in (None, other)]

    first, second = steps()
    assert first == second
    assert len(renting.sessions) == 1


def test_a_later_failure_in_the_transaction_stops_the_machine(renting: Renting) -> None:
    @flow
    def steps() -> None:
        with transaction():
            tasks.start_machine("alpine:3")
            raise RuntimeError("a later step fails")

    with pytest.raises(RuntimeError):
        steps()
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_first_try_that_fails_in_the_transaction_stops_the_machine_too(renting: Renting) -> None:
    tries: list[int] = []

    @task(retries=1, retry_delay_seconds=0)
    def fails_at_first() -> None:
        tries.append(len(renting.running()))
        if len(tries) == 1:
            raise RuntimeError("not up yet")

    @flow
    def steps() -> None:
        with transaction():
            tasks.start_machine("alpine:3")
            fails_at_first()

    steps()
    assert tries == [1, 0]


def test_what_is_not_ready_in_time_is_stopped(renting: Renting) -> None:
    renting.emulator.faults({"kind": "never_ready"})

    @flow
    def steps() -> None:
        tasks.wait_until_ready(tasks.start_machine("alpine:3"), deadline_s=1.5, **QUICK)

    with pytest.raises(OctaWaitTimeoutError, match="it was stopped"):
        steps()
    assert renting.running() == []


@pytest.mark.parametrize("form", ["thread", "coroutine"])
def test_waiting_for_a_session_that_has_ended_fails(renting: Renting, form: str) -> None:
    @flow
    def threads() -> None:
        session = tasks.start_machine("alpine:3")
        tasks.stop_session(session)
        tasks.wait_until_ready(session, **QUICK)

    @flow
    async def coroutines() -> None:
        session = await tasks.astart_machine("alpine:3")
        await tasks.astop_session(session)
        await tasks.await_until_ready(session, **QUICK)

    with pytest.raises(OctaSessionFailedError, match="has ended"):
        threads() if form == "thread" else asyncio.run(coroutines())


def test_nothing_fits_is_told_before_anything_is_paid(renting: Renting) -> None:
    @flow
    def steps() -> None:
        tasks.start_machine("alpine:3", requirements={"gpu_model": "no such card"})

    with pytest.raises(OctaNoMachineError, match="no machine fits"):
        steps()
    assert renting.sessions == []


def test_nothing_started_is_nothing_to_stop(renting: Renting) -> None:
    assert tasks.stop_session.fn(None) is None


def test_a_cancelled_coroutine_stops_what_it_was_starting(renting: Renting) -> None:
    renting.holds_the_answer()

    async def cancelled() -> None:
        from prefect_blocks.in_thread import async_twin
        from prefect_blocks.session_start import start_machine, stop_unwanted

        start = asyncio.create_task(async_twin(start_machine, stop_unwanted)("alpine:3"))
        await asyncio.to_thread(renting.wait_until_running)
        start.cancel()
        await asyncio.to_thread(renting.emulator.clear_faults)
        with pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(cancelled())
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_job_that_fails_raises_with_what_it_came_to(renting: Renting) -> None:
    @flow
    def steps() -> None:
        tasks.run_job("alpine:3", "echo oh no; exit 7", **QUICK)

    with pytest.raises(JobFailedError, match="exit code 7") as failed:
        steps()
    assert failed.value.result.exit_code == 7


def test_a_catalogue_that_is_none_is_refused(renting: Renting) -> None:
    with pytest.raises(OctaConfigError, match="give mr or render"):
        tasks.find_machines.fn(service="vpn")


def test_work_that_is_cancelled_twice_is_still_undone() -> None:
    from prefect_blocks.in_thread import run_in_thread_or_undo

    undone: list[str] = []
    began, ends = threading.Event(), threading.Event()

    def rents() -> str:
        began.set()
        ends.wait()
        return "rented"

    async def cancelled_twice() -> None:
        work = asyncio.create_task(run_in_thread_or_undo(rents, undone.append))
        await asyncio.to_thread(began.wait)
        for _ in range(2):
            work.cancel()
            await asyncio.sleep(0.1)
        ends.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled_twice())
    assert undone == ["rented"]


def test_what_can_not_be_stopped_is_named_though_the_cancellation_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    from prefect_blocks.in_thread import run_in_thread

    began, ends = threading.Event(), threading.Event()

    def stop() -> None:
        began.set()
        ends.wait()
        raise OctaStopError("perhaps still billing: some-uuid", uuids=("some-uuid",))

    async def cancelled() -> None:
        work = asyncio.create_task(run_in_thread(stop))
        await asyncio.to_thread(began.wait)
        work.cancel()
        await asyncio.sleep(0.1)
        ends.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    assert "perhaps still billing: some-uuid" in caplog.text


def test_paths_tell_work_apart_and_what_tells_nothing_is_refused() -> None:
    from prefect_blocks.rental_key import rental_key

    @flow
    def keys() -> list[str]:
        with pytest.raises(OctaConfigError, match="give it a key="):
            rental_key({(1, 2): "x"})
        return [rental_key(Path(name)) for name in ("a.blend", "b.blend", "a.blend")]

    digests = [key.rpartition("/")[2].partition("-")[0] for key in keys()]
    assert digests[0] == digests[2] != digests[1]
