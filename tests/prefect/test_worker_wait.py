"""A flow run of a work pool waits for its machine: real workers, a catalogue that is empty at first."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import anyio
import pytest
from pool import Pool
from prefect import flow
from prefect.states import Cancelling, Pending
from prefect_server import PrefectServer
from pydantic import ValidationError
from renting import Renting
from waiting_for import LONG_S, wait_for

from octa_provider.rental.machine_wait import MACHINE_POLL_S
from prefect_blocks import OctaWorker, worker
from prefect_blocks.worker_configuration import OctaJobConfiguration

pytestmark = [pytest.mark.e2e]

EMPTY = {"kind": "garbage", "method": "GET", "path": "^/services/mr$", "body": "[]", "times": None}


def looks(renting: Renting) -> int:
    return renting.count_requests("GET", "/services/mr")


def test_a_flow_run_waits_for_a_machine_and_says_why(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    renting.emulator.faults(EMPTY)
    worker = pool.worker()
    run = pool.submit("greets", {"name": "octa"}, wait_for_machine_s=600)
    told = wait_for(lambda: [line for line in server.logs_of(run) if "waits up to" in line], "its log says so")
    assert "for a machine" in told[0]
    assert server.state_of(run) == "Submitting"
    renting.emulator.clear_faults()
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1
    assert "Traceback" not in worker.output


def test_a_cancelled_flow_run_ends_its_wait(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    renting.emulator.faults(EMPTY)
    worker = pool.worker()
    run = pool.submit("greets", wait_for_machine_s=3600)
    wait_for(lambda: any("waits up to" in line for line in server.logs_of(run)), "it waits")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    renting.emulator.clear_faults()
    # The worker, which would wait for what it has begun, ends: nothing of the wait is left in it.
    pool.end_of(worker)
    assert renting.sessions == []
    assert server.state_of(run) == "Cancelled"


def test_a_worker_that_leaves_while_it_waits_stops_no_machine_that_the_next_one_has_rented(
    server: PrefectServer, renting: Renting, pool: Pool
) -> None:
    """It was taken for dead, and finds the other's machine in the moment in which it is told to end."""
    configuration = OctaJobConfiguration(
        command="sleep 3600", image="alpine:3", poll_s=0.2, env={}, wait_for_machine_s=600
    )

    async def leaves() -> None:
        async with OctaWorker(work_pool_name=pool.name) as other:
            run = await other.client.create_flow_run(nothing, state=Pending())
            with configuration.account().get_client() as client:
                assert await other._machine_of(client, run, configuration).rent() is not None
                renting.emulator.faults({"kind": "delay", "seconds": 3, "method": "GET", "path": "/sessions"})
                with anyio.move_on_after(1):
                    await other._machine_of(client, run, configuration).rent()

    @flow
    def nothing() -> None: ...

    asyncio.run(leaves())
    renting.emulator.clear_faults()
    (rented,) = renting.running()
    renting.client().rentals.open(rented).stop()


def test_a_wait_that_is_over_crashes_the_flow_run_with_how_long_it_was(
    server: PrefectServer, renting: Renting, pool: Pool
) -> None:
    pool.worker()
    run = pool.submit("greets", max_price_usd=0.0001, wait_for_machine_s=1)
    server.wait_for_state(run, "Crashed")
    told = server.flow_run(run)["state"]["message"]
    assert re.search(r"Waited \w+( \w+)? for one \(wait_for_machine_s\)", told), told
    assert renting.sessions == []


def test_all_waits_of_a_worker_share_the_looks_at_the_market(
    server: PrefectServer, renting: Renting, pool: Pool
) -> None:
    renting.emulator.faults(EMPTY)
    pool.worker()
    runs = [pool.submit("greets", wait_for_machine_s=3600) for _ in range(6)]
    for run in runs:
        wait_for(lambda run=run: any("waits up to" in line for line in server.logs_of(run)), "it waits")
    began, before = time.monotonic(), looks(renting)
    wait_for(lambda: looks(renting) >= before + 2, "two more looks")
    more, took_s = looks(renting) - before, time.monotonic() - began
    # Six that ask for themselves would have made six in one interval. 10% of spread, and one at each end.
    assert more <= took_s / MACHINE_POLL_S / 0.9 + 2
    for run in runs:
        server.set_state(run, "CANCELLING")
    for run in runs:
        server.wait_for_state(run, "Cancelled")


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "soon"])
def test_what_is_no_wait_is_refused(seconds: Any) -> None:
    with pytest.raises(ValidationError, match="wait_for_machine_s"):
        OctaJobConfiguration(command="true", image="alpine:3", env={}, wait_for_machine_s=seconds)


def test_a_wait_takes_no_thread_from_those_that_run(
    server: PrefectServer, pool: Pool, renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait: each has a thread beside the worker's own, of which there is one here."""
    monkeypatch.setattr(worker, "THREADS", 1)
    plain = {"command": "true", "image": "alpine:3", "env": {}, "poll_s": 0.2}
    waits = OctaJobConfiguration(**plain, max_price_usd=0.0001, wait_for_machine_s=3600)

    @flow
    def nothing() -> None: ...

    async def one_runs_while_another_waits() -> int:
        async with OctaWorker(work_pool_name=pool.name) as one, anyio.create_task_group() as waiting:
            before = looks(renting)
            first, second = [await one.client.create_flow_run(nothing, state=Pending()) for _ in range(2)]
            waiting.start_soon(one.run, first, waits)
            while looks(renting) == before:
                await anyio.sleep(0.1)
            with anyio.fail_after(LONG_S):
                result = await one.run(second, OctaJobConfiguration(**plain))
            await one.client.set_flow_run_state(first.id, Cancelling(), force=True)
        return result.status_code

    assert asyncio.run(one_runs_while_another_waits()) == 0
    assert len(renting.sessions) == 1
