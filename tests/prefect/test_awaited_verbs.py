"""A plain verb that a coroutine awaits does not rent a machine and fail then: what it returns can be awaited."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow, Task, flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed
from prefect_server import PrefectServer
from pydantic import BaseModel
from renting import Renting
from shots import ONE_MACHINE, shot

import prefect_blocks
from octa_provider import JobResult, MachineRequest
from octa_provider.remote.command import CommandResult
from prefect_blocks import OctaJob, OctaRenderBatch, flows, rented_machine, stop_left_sessions, tasks

pytestmark = pytest.mark.e2e

QUICK: dict[str, Any] = {"poll_s": 0.2}
MACHINE = MachineRequest("alpine:3", start_command="sleep infinity")
#: They rent nothing and ask nobody, and their names are no verbs' of Prefect.
MAKE_VALUES = {
    "OctaCredentials.get_client",
    "OctaJob.requirements",
    "OctaJob.spec",
    "OctaRenderBatch.batch",
    "OctaRenderBatch.requirements",
    "octa",
}


async def runs_a_job(folder: Path) -> None:
    result = OctaJob(image="alpine:3", command="exit 0", **QUICK).run()
    assert result.succeeded
    assert isinstance(result, JobResult)
    same = await result
    assert same == result
    assert type(pickle.loads(pickle.dumps(result))) is JobResult
    assert pickle.loads(pickle.dumps(result)) == result


async def follows_a_job(folder: Path) -> None:
    run = await OctaJob(image="alpine:3", command="exit 0", **QUICK).trigger()
    assert not run.wait_for_completion()
    await run.wait_for_completion()
    assert (await run.fetch_result()).succeeded
    assert run.fetch_result() == await run.afetch_result()
    assert type(await run.afetch_result()) is JobResult


async def stops_a_job(folder: Path) -> None:
    run = await asyncio.create_task(OctaJob(image="alpine:3", command="sleep 3600", **QUICK).trigger())
    assert await asyncio.create_task(run.stop()) is None


async def works_on_a_machine(folder: Path) -> None:
    async with rented_machine(MACHINE, **QUICK) as machine:
        assert (await machine.run("echo up")).output == "up\n"
        assert machine.run("exit 3") == CommandResult(3)
        with await machine.ssh() as shell:
            assert shell.run("true").exit_code == 0


async def takes_steps(folder: Path) -> None:
    assert (await tasks.find_machines(limit=1)) == tasks.find_machines(limit=1)
    started = await tasks.start_machine("alpine:3", start_command="echo up")
    ready = tasks.wait_until_ready(started, **QUICK)
    assert (await ready)["uuid"] == ready["uuid"] == started["uuid"]
    assert (await tasks.fetch_logs(started))["uuid"] == started["uuid"]
    bill = await tasks.stop_session(started)
    assert bill["uuid"] == started["uuid"]
    assert tasks.stop_session(None) is None


async def starts_others(folder: Path) -> None:
    for start in (tasks.start_render, tasks.start_vpn):
        started = await start()
        await tasks.stop_session(started)


async def runs_a_task(folder: Path) -> None:
    result = tasks.run_job("alpine:3", "exit 0", **QUICK)
    assert (await result)["exit_code"] == result["exit_code"] == 0
    both = [tasks.run_job.with_options(retries=1)("alpine:3", "exit 0", key=key, **QUICK) for key in ("one", "two")]
    one, two = await asyncio.gather(*both)
    assert one["uuid"] != two["uuid"]
    assert await asyncio.create_task(both[0]) == one


async def runs_a_flow(folder: Path) -> None:
    result = flows.run_job_flow("alpine:3", "exit 0", **QUICK)
    assert (await result)["exit_code"] == result["exit_code"] == 0
    ended: Any = flows.run_job_flow.with_options(retries=1)("alpine:3", "exit 0", **QUICK, return_state=True)
    assert isinstance(ended, State)
    assert (await ended).is_completed()
    assert (await flows.reap_orphans_flow(older_than_s=0))["stopped"] == []
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    await stop_left_sessions(None, context.flow_run, Completed(), settle_s=0)


async def renders(folder: Path) -> None:
    given = shot(folder, "1-2", **ONE_MACHINE)
    quote = await flows.plan_render_flow(**given)
    assert (await flows.render_animation_flow(**given, quote=quote))["done"] == 2
    house = OctaRenderBatch(**given)
    assert (await house.render(await house.plan()))["done"] == 2


#: Each verb, and what awaits it.
AWAITED: dict[Callable[[Path], Coroutine[Any, Any, None]], set[str]] = {
    runs_a_job: {"OctaJob.run"},
    follows_a_job: {"OctaJob.trigger", "OctaJobRun.wait_for_completion", "OctaJobRun.fetch_result"},
    stops_a_job: {"OctaJobRun.stop"},
    works_on_a_machine: {"RentedMachine.run", "RentedMachine.ssh"},
    takes_steps: {"find_machines", "start_machine", "wait_until_ready", "fetch_logs", "stop_session"},
    starts_others: {"start_render", "start_vpn"},
    runs_a_task: {"run_job"},
    runs_a_flow: {"run_job_flow", "reap_orphans_flow", "stop_left_sessions"},
    renders: {"plan_render_flow", "render_animation_flow", "OctaRenderBatch.plan", "OctaRenderBatch.render"},
}


def plain_verbs() -> Iterator[str]:
    """The public names that are called and are no coroutine functions: of blocks and handles, tasks, flows."""
    for module in (prefect_blocks, tasks, flows):
        for name in module.__all__:
            value: object = getattr(module, name)
            if isinstance(value, type):
                yield from (f"{name}.{verb}" for verb in plain_methods(value))
            elif not (value.isasync if isinstance(value, Task | Flow) else inspect.iscoroutinefunction(value)):
                yield name


def plain_methods(owner: type) -> Iterator[str]:
    for one in owner.__mro__:
        if one.__module__.startswith("prefect_blocks") and not issubclass(one, Exception | prefect_blocks.OctaWorker):
            for name, value in vars(one).items():
                is_public = inspect.isfunction(value) and not name.startswith("_") and not hasattr(BaseModel, name)
                if is_public and not inspect.iscoroutinefunction(value):
                    yield name


def test_every_plain_verb_is_awaited_here() -> None:
    tried = set.union(*AWAITED.values())
    assert set(plain_verbs()) == tried | MAKE_VALUES


@pytest.mark.parametrize("awaits", AWAITED, ids=lambda one: one.__name__)
def test_it_can_be_awaited_and_used_without_it_in_a_flow(
    server: PrefectServer, renting: Renting, tmp_path: Path, awaits: Callable[[Path], Coroutine[Any, Any, None]]
) -> None:
    @flow
    async def awaiting() -> None:
        await awaits(tmp_path)

    asyncio.run(awaiting())
    assert renting.running() == []


@pytest.mark.parametrize("awaits", [runs_a_job, stops_a_job, works_on_a_machine, runs_a_task])
def test_it_can_outside_of_any_flow(
    server: PrefectServer, renting: Renting, tmp_path: Path, awaits: Callable[[Path], Coroutine[Any, Any, None]]
) -> None:
    asyncio.run(awaits(tmp_path))
    assert renting.running() == []


def test_what_is_submitted_is_none_the_worse_for_it(server: PrefectServer, renting: Renting) -> None:
    @flow
    async def submits() -> list[Any]:
        future: Any = await tasks.run_job.submit("alpine:3", "exit 0", **QUICK)
        several: Any = await tasks.run_job.map(["alpine:3"], ["exit 0"], poll_s=0.2)
        return [future.result(), *several.result()]

    assert [one["exit_code"] for one in asyncio.run(submits())] == [0, 0]


def test_where_no_coroutine_can_await_it_a_value_is_of_its_own_type(server: PrefectServer, renting: Renting) -> None:
    @flow
    def plain() -> list[type]:
        job = OctaJob(image="alpine:3", command="exit 0", **QUICK)
        return [type(job.run()), type(tasks.run_job("alpine:3", "exit 0", **QUICK))]

    assert plain() == [JobResult, dict]
