"""`rented_machine`: a machine for the length of a block, plain and for coroutines."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.exceptions import TerminationSignal
from pydantic import SecretStr
from renting import Renting
from waiting_for import LONG_S

from octa_provider import MachineRequest, RenderRequest
from octa_provider.errors import OctaBudgetError, OctaConfigError, OctaNoMachineError, OctaWaitTimeoutError
from prefect_blocks import OctaCredentials, RentedMachine, rented_machine

pytestmark = pytest.mark.usefixtures("server")

REQUEST = MachineRequest("alpine:3")
FORMS = ["plain", "coroutine"]


def in_block(form: str, inside: Callable[[RentedMachine], Any], **options: Any) -> Any:
    """A flow that does something inside of the block."""

    @flow
    def plain() -> Any:
        with rented_machine(REQUEST, poll_s=0.2, **options) as machine:
            return inside(machine)

    @flow
    async def coroutine() -> Any:
        async with rented_machine(REQUEST, poll_s=0.2, **options) as machine:
            return inside(machine)

    return plain() if form == "plain" else asyncio.run(coroutine())


@pytest.mark.parametrize("form", FORMS)
def test_it_is_up_inside_and_gone_after(renting: Renting, form: str) -> None:
    def inside(machine: RentedMachine) -> str:
        assert machine.session.is_ready
        assert renting.running() == [machine.rental.uuid]
        return machine.rental.uuid

    uuid = in_block(form, inside)
    assert [session["uuid"] for session in renting.sessions] == [uuid]
    assert renting.running() == []


ENDS = [LookupError("from inside"), TerminationSignal(signal.SIGTERM), KeyboardInterrupt()]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_whatever_comes_out_of_the_block_the_machine_is_stopped(renting: Renting, error: BaseException) -> None:
    # In a flow Prefect would answer its own signal by ending this process; flows of their own are in test_nothing_left.
    with pytest.raises(type(error)), rented_machine(REQUEST, poll_s=0.2):
        raise error
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_and_out_of_a_coroutine_too(renting: Renting) -> None:
    def inside(machine: RentedMachine) -> None:
        raise LookupError("from inside")

    with pytest.raises(LookupError, match="from inside"):
        in_block("coroutine", inside)
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("form", FORMS)
def test_a_machine_that_does_not_come_up_is_stopped(renting: Renting, form: str) -> None:
    renting.emulator.faults({"kind": "never_ready"})
    with pytest.raises(OctaWaitTimeoutError, match="it was stopped"):
        in_block(form, lambda machine: None, ready_deadline_s=1.0)
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("form", FORMS)
def test_another_machine_is_rented_when_one_does_not_come_up(
    renting: Renting, form: str, time_passes: Callable[[float], None]
) -> None:
    def inside(machine: RentedMachine) -> tuple[str, list[str]]:
        assert (machine.session.uuid, renting.running()) == (machine.rental.uuid, [machine.rental.uuid])
        return machine.rental.uuid, [one.uuid for one in machine.rental.tried]

    with renting.first_never_up(time_passes):
        uuid, tried = in_block(form, inside, start_attempts=2)
    assert [session["uuid"] for session in renting.sessions] == [*tried, uuid]
    assert len({session["node_id"] for session in renting.sessions}) == 2
    assert renting.never_two_at_once()
    assert renting.running() == []


@pytest.mark.parametrize("moment", ["starting", "waiting", "inside"])
def test_a_cancelled_coroutine_leaves_nothing(renting: Renting, moment: str) -> None:
    if moment == "starting":
        renting.holds_the_answer()
    if moment == "waiting":
        renting.emulator.faults({"kind": "never_ready"})

    async def cancelled() -> None:
        inside = asyncio.Event()

        async def holds() -> None:
            async with rented_machine(REQUEST, poll_s=0.2):
                inside.set()
                await asyncio.sleep(3600)

        work = asyncio.create_task(holds())
        if moment == "inside":
            await inside.wait()
        else:
            await asyncio.to_thread(renting.wait_until_running)
        work.cancel()
        await asyncio.to_thread(renting.emulator.clear_faults)
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_the_event_loop_is_never_blocked(renting: Renting) -> None:
    """Rented, waited for and stopped in threads: others go on meanwhile. No answer comes before they have."""
    renting.holds_the_answer()

    async def both() -> None:
        async def goes_on() -> None:
            await asyncio.to_thread(renting.wait_until_running)
            await asyncio.to_thread(renting.emulator.clear_faults)

        other = asyncio.create_task(goes_on())
        async with rented_machine(REQUEST, poll_s=0.2):
            pass
        await other

    asyncio.run(both())


def test_commands_on_it(renting: Renting, tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "here").write_text("travels")
    private_key = renting.emulator.ssh_private_key.read_text()

    def inside(machine: RentedMachine) -> list[int]:
        ended = machine.run("echo from the machine; exit $CODE", envs={"CODE": SecretStr("4")}, on_line=lines.append)
        with machine.ssh() as shell:
            shell.put(tmp_path / "here", "there")
            return [ended.exit_code, shell.run("cat there", on_line=lines.append).exit_code]

    assert in_block("plain", inside, credentials=OctaCredentials(ssh_private_key=private_key)) == [4, 0]
    assert lines == ["from the machine", "travels"]


def test_commands_on_many_from_coroutines(renting: Renting) -> None:
    """More at once than a pool of threads has on a small machine."""
    lines: list[str] = []

    async def one(index: int) -> int:
        async with rented_machine(REQUEST, poll_s=0.2) as machine:
            ended = await machine.arun(f"sleep 0.5; exit {index}", on_line=lines.append)
            return ended.exit_code

    @flow
    async def steps() -> list[int]:
        return await asyncio.gather(*(one(index) for index in range(8)))

    assert asyncio.run(steps()) == list(range(8))
    assert renting.running() == []


def test_a_command_whose_coroutine_is_cancelled_ends_with_its_machine(renting: Renting) -> None:
    async def cancelled() -> None:
        began = threading.Event()

        async def holds() -> None:
            async with rented_machine(REQUEST, poll_s=0.2) as machine:
                await machine.arun("echo begins; sleep 3600", on_line=lambda line: began.set())

        work = asyncio.create_task(holds())
        assert await asyncio.to_thread(began.wait, LONG_S)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(work), LONG_S)

    asyncio.run(cancelled())
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_the_next_try_of_a_task_adopts_the_machine(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try's process is gone as far as the machine is concerned: nothing stops it."""
    tries: list[tuple[str, bool]] = []

    @task(retries=1)
    def work() -> None:
        block = rented_machine(REQUEST, poll_s=0.2)
        blocks.append(block)
        machine = block.__enter__()
        tries.append((machine.rental.uuid, machine.rental.adopted))
        if len(tries) == 1:
            raise RuntimeError("killed")
        block.__exit__(None, None, None)

    # Kept: what is thrown away cleans up.
    blocks: list[rented_machine] = []

    @flow
    def steps() -> None:
        work()

    steps()
    assert tries == [(renting.sessions[0]["uuid"], False), (renting.sessions[0]["uuid"], True)]
    for block in blocks:
        block.__exit__(None, None, None)


def test_two_alike_are_two(renting: Renting) -> None:
    @flow
    def steps() -> set[str]:
        with rented_machine(REQUEST, poll_s=0.2) as one, rented_machine(REQUEST, poll_s=0.2) as other:
            return {one.rental.uuid, other.rental.uuid}

    assert len(steps()) == 2
    assert len(set(renting.rental_keys)) == 2
    assert renting.running() == []


def test_a_key_of_ones_own(renting: Renting) -> None:
    in_block("plain", lambda machine: None, key="shot-12")
    assert renting.rental_keys[0].endswith("/shot-12")


def test_a_worker_of_the_render_service(renting: Renting) -> None:
    @flow
    def steps() -> str | None:
        with rented_machine(RenderRequest(), poll_s=0.2) as machine:
            return machine.rental.service

    assert steps() == "render"


def test_what_can_not_be_rented_costs_nothing(renting: Renting) -> None:
    with pytest.raises(OctaNoMachineError, match="no machine fits"):
        in_block("plain", lambda machine: None, requirements={"gpu_model": "no such card"})
    renting.emulator.faults(
        {"kind": "status", "method": "GET", "path": "/accounts*", "status": 200, "body": {"balance": 0}}
    )
    with pytest.raises(OctaBudgetError):
        in_block("plain", lambda machine: None, max_cost_usd=5.0)
    assert renting.sessions == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"start_attempts": 11}, "start_attempts must be a whole number from 1 to 10"),
        ({"start_attempts": 2, "requirements": {"node_id": 5}}, "node_id=5 allows none"),
        ({"ready_deadline_s": float("nan")}, "ready_deadline_s"),
    ],
)
def test_what_can_not_be_tried_is_refused_before_the_block(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OctaConfigError, match=sentence):
        rented_machine(REQUEST, **options)


def test_prefects_end_of_a_flow_is_no_exception() -> None:
    """What all of the above rests on: `except Exception` does not see it, `finally` does."""
    assert not issubclass(TerminationSignal, Exception)


def test_outside_any_flow(renting: Renting) -> None:
    with rented_machine(REQUEST, poll_s=0.2) as machine:
        assert machine.session.is_ready
    assert renting.running() == []
