"""Waiting for a machine, in tasks, in the job block and around a block of code."""

from __future__ import annotations

import asyncio

import pytest
from prefect import flow
from pydantic import ValidationError
from renting import Renting

from octa_provider import MachineRequest
from octa_provider.errors import OctaConfigError, OctaNoMachineError
from prefect_blocks import OctaJob, rented_machine, tasks

pytestmark = pytest.mark.usefixtures("server")

EMPTY = {"kind": "garbage", "method": "GET", "path": "^/services/(mr|vpn)$", "body": "[]", "times": 1}


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the wait may be, the market is looked at every few seconds."""
    monkeypatch.setattr("octa_provider.rental.machine_wait.machine_poll_s", lambda wait_s, poll_s=0.0: 3.0)


def test_a_job_waits_for_a_machine_and_rents_once(renting: Renting) -> None:
    renting.emulator.faults(EMPTY)

    @flow
    def waits() -> dict[str, object]:
        return tasks.run_job("alpine:3", "true", poll_s=0.2, wait_for_machine_s=3600)

    assert waits()["outcome"] == "succeeded"
    assert len(renting.sessions) == 1


def test_the_start_tasks_and_a_rented_block_wait_too(renting: Renting) -> None:
    @flow
    def waits() -> None:
        renting.emulator.faults(EMPTY)
        tasks.stop_session(tasks.start_machine("alpine:3", wait_for_machine_s=3600))
        renting.emulator.faults(EMPTY)
        tasks.stop_session(tasks.start_vpn("wg", wait_for_machine_s=3600))
        renting.emulator.faults(EMPTY)
        with rented_machine(MachineRequest("alpine:3"), poll_s=0.2, wait_for_machine_s=3600):
            pass

    waits()
    assert [session["service"] for session in renting.sessions] == ["mr", "vpn", "mr"]
    assert renting.running() == []


def test_a_wait_that_is_over_fails_with_how_long_it_was(renting: Renting) -> None:
    @flow
    def waits() -> None:
        tasks.run_job("alpine:3", "true", requirements={"max_price_usd": 0.0001}, wait_for_machine_s=1)

    with pytest.raises(OctaNoMachineError, match=r"Waited \d+s for one \(wait_for_machine_s\)"):
        waits()
    assert renting.sessions == []


def test_a_cancelled_coroutine_ends_its_wait_at_once(renting: Renting) -> None:
    looks = renting.count_requests("GET", "/services/mr")

    @flow
    async def waits() -> None:
        # A market that is empty for a while would not do: what another test saw of it may be a moment old.
        job = OctaJob(image="alpine:3", command="true", max_price_usd=0.0001, wait_for_machine_s=3600)
        trigger = asyncio.create_task(job.atrigger())
        while renting.count_requests("GET", "/services/mr") == looks and not trigger.done():
            await asyncio.sleep(0.05)
        trigger.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trigger

    asyncio.run(waits())
    assert renting.sessions == []


def test_what_is_no_wait_is_refused_before_anything_is_asked(renting: Renting) -> None:
    with pytest.raises(ValidationError, match="wait_for_machine_s"):
        OctaJob(image="alpine:3", command="true", credentials={}, wait_for_machine_s=-1)
    with pytest.raises(OctaConfigError, match="wait_for_machine_s"):
        rented_machine(MachineRequest("alpine:3"), wait_for_machine_s=float("nan"))
    assert renting.sessions == []
