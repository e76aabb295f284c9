"""A worker that is told to end while nobody knows yet whether its request has rented a machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from pool import Pool
from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending
from prefect_server import PrefectServer
from renting import Renting

from octa_provider.rental.rentals import Rentals
from prefect_blocks import OctaWorker, flow_run_starts
from prefect_blocks.unfollowed_machines import WORKER_LABEL
from prefect_blocks.worker_configuration import OctaJobConfiguration

pytestmark = [pytest.mark.e2e]

START = {"method": "POST", "path": "^/services/mr$"}
UNSEEN = {"kind": "missing_entry", "all": True, "method": "GET", "path": "/sessions", "times": None}


@flow
def nothing() -> None: ...


@pytest.fixture(autouse=True)
def long_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for what its request has left until a test lets that time pass."""
    monkeypatch.setitem(Rentals.start.__kwdefaults__ or {}, "settle_s", 3600.0)
    monkeypatch.setitem(Rentals.start.__kwdefaults__ or {}, "deadline_s", 86_400.0)


async def nobody(worker: OctaWorker, run: FlowRun, session: dict[str, Any]) -> None: ...


async def one_that_has_taken_it_over(worker: OctaWorker, run: FlowRun, session: dict[str, Any]) -> None:
    await worker.client.update_flow_run_labels(run.id, {WORKER_LABEL: "another"})


async def one_of_its_own_name(worker: OctaWorker, run: FlowRun, session: dict[str, Any]) -> None:
    pid = f"{session['uuid']}/{session['rental_key']}"
    await worker.client.update_flow_run(run.id, infrastructure_pid=pid)


@pytest.mark.parametrize("wait_s", [0, 600])
@pytest.mark.parametrize(
    ("who", "stays"), [(nobody, False), (one_that_has_taken_it_over, True), (one_of_its_own_name, True)]
)
def test_what_it_has_started_is_stopped_unless_another_worker_has_it_by_now(
    server: PrefectServer,
    renting: Renting,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
    time_passes: Callable[[float], None],
    who: Any,
    stays: bool,
    wait_s: int,
) -> None:
    configuration = OctaJobConfiguration(
        command="sleep 3600", image="alpine:3", poll_s=0.2, env={}, wait_for_machine_s=wait_s
    )
    is_leaving = flow_run_starts.is_worker_leaving

    def is_leaving_and_sees_it_then() -> bool:
        leaves = is_leaving()
        if leaves:
            renting.emulator.clear_faults()
        return leaves

    monkeypatch.setattr(flow_run_starts, "is_worker_leaving", is_leaving_and_sees_it_then)

    async def leaves() -> None:
        async with OctaWorker(work_pool_name=pool.name, name="first") as worker:
            run = await worker.client.create_flow_run(nothing, state=Pending())
            await worker.client.update_flow_run_labels(run.id, {WORKER_LABEL: "first"})
            renting.emulator.faults({"kind": "drop_after", **START}, UNSEEN)
            with configuration.account().get_client() as client:
                async with anyio.create_task_group() as renting_it:
                    renting_it.start_soon(worker._machine_of(client, run, configuration).rent)
                    while not renting.sessions:
                        await anyio.sleep(0.05)
                    looks = renting.count_requests("GET", "/sessions")
                    while renting.count_requests("GET", "/sessions") == looks:
                        await anyio.sleep(0.05)
                    await who(worker, run, renting.sessions[0])
                    renting_it.cancel_scope.cancel()
                    time_passes(7200)

    asyncio.run(leaves())
    running = renting.running()
    for uuid in running:
        renting.client().rentals.open(uuid).stop()
    assert (len(renting.sessions), len(running)) == (1, int(stays))


def test_where_prefect_does_not_answer_it_is_left_to_the_next_worker(
    server: PrefectServer, renting: Renting, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    from prefect_blocks.taken_over import is_taken_over

    async def asks() -> bool:
        async with OctaWorker(work_pool_name=pool.name, name="first") as worker:
            run = await worker.client.create_flow_run(nothing, state=Pending())

            async def refuses(*args: Any, **kwargs: Any) -> None:
                raise TimeoutError

            worker.client.read_flow_run = refuses  # type: ignore[method-assign, assignment]
            logger = worker.get_flow_run_logger(run)
            with anyio.CancelScope() as scope:
                scope.cancel()
                return await is_taken_over(worker.client, run.id, "first", key="a/key", uuid="a-uuid", logger=logger)

    assert asyncio.run(asks())
    assert "octa-provider stop a-uuid" in caplog.text
