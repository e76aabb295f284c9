"""Flows that rent machines themselves; each runs as a process that a test can end."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, task

from octa_provider import MachineRequest
from prefect_blocks import OctaJob, OctaRenderBatch, rented_machine, stop_left_sessions, tasks
from prefect_blocks.flows import render_animation_flow

WAITS = "while [ ! -e {0}/end ]; do sleep 0.1; done; echo done"


def hold(folder: str) -> None:
    (Path(folder) / "runs").touch()
    while not (Path(folder) / "end").exists():
        time.sleep(0.1)


@flow
def block(folder: str) -> None:
    with rented_machine(MachineRequest("alpine:3"), poll_s=0.2):
        hold(folder)


@flow
async def block_async(folder: str) -> None:
    async with rented_machine(MachineRequest("alpine:3"), poll_s=0.2):
        (Path(folder) / "runs").touch()
        while not (Path(folder) / "end").exists():
            await asyncio.sleep(0.1)


@task
def holds_in_a_task(folder: str) -> None:
    with rented_machine(MachineRequest("alpine:3"), poll_s=0.2):
        hold(folder)


@flow
def block_in_task(folder: str) -> None:
    holds_in_a_task(folder)


@flow
def job(folder: str) -> str:
    return str(tasks.run_job("alpine:3", WAITS.format(folder), poll_s=0.3)["uuid"])


@flow
def job_submitted(folder: str) -> None:
    tasks.run_job.submit("alpine:3", WAITS.format(folder), poll_s=0.3).result()


@flow
async def job_async(folder: str) -> None:
    await tasks.arun_job("alpine:3", WAITS.format(folder), poll_s=0.3)


@flow
def job_block(folder: str) -> None:
    run = OctaJob(image="alpine:3", command=WAITS.format(folder), poll_s=0.3).trigger()
    run.wait_for_completion()
    run.fetch_result()


@flow
def waiting(folder: str) -> None:
    tasks.wait_until_ready(tasks.start_machine("alpine:3"), poll_s=0.3)


@flow
async def waiting_async(folder: str) -> None:
    await tasks.await_until_ready(await tasks.astart_machine("alpine:3"), poll_s=0.3)


@flow
def waiting_submitted(folder: str) -> None:
    tasks.wait_until_ready.submit(tasks.start_machine("alpine:3"), poll_s=0.3).result()


STOPS = partial(stop_left_sessions, settle_s=1.0)


@flow(on_crashed=[STOPS], on_cancellation=[STOPS])
def hooked(folder: str) -> None:
    """Stops nothing itself; the hooks do."""
    tasks.start_machine("alpine:3")
    hold(folder)


@flow
def child(folder: str) -> None:
    tasks.start_machine("alpine:3")
    hold(folder)


@flow(on_crashed=[STOPS], on_cancellation=[STOPS])
def hooked_parent(folder: str) -> None:
    child(folder)


@flow
def parent(folder: str) -> None:
    child(folder)


@flow(on_completion=[STOPS], on_failure=[STOPS])
def forgets(folder: str, fails: bool) -> None:
    OctaJob(image="alpine:3", command="sleep 3600").trigger()
    if fails:
        raise ValueError("before anybody has waited for the job")


COUNTS = "i=0; while [ ! -e {0}/end ]; do i=$((i+1)); echo $((i % 100))%; sleep 0.3; done; echo done"


@flow
def job_that_counts(folder: str, max_cost_usd: float | None = None) -> None:
    """Has progress to report all the time."""
    tasks.run_job("alpine:3", COUNTS.format(folder), max_cost_usd=max_cost_usd, poll_s=0.3)


@flow
async def job_that_counts_async(folder: str, max_cost_usd: float | None = None) -> None:
    await tasks.arun_job("alpine:3", COUNTS.format(folder), max_cost_usd=max_cost_usd, poll_s=0.3)


@flow
def single_steps(folder: str) -> None:
    session = tasks.wait_until_ready(tasks.start_machine("alpine:3"), poll_s=0.3)
    hold(folder)
    tasks.stop_session(session)


@flow
def triggers(folder: str) -> None:
    """Starts jobs that nobody waits for."""
    for _ in range(2):
        OctaJob(image="alpine:3", command="sleep 3600", poll_s=0.3).trigger()
    hold(folder)


@flow
async def triggers_async(folder: str) -> None:
    for _ in range(2):
        await OctaJob(image="alpine:3", command="sleep 3600", poll_s=0.3).atrigger()
    (Path(folder) / "runs").touch()
    while not (Path(folder) / "end").exists():
        await asyncio.sleep(0.1)


@flow
def starts(folder: str) -> None:
    """Starts machines that it does not stop."""
    for _ in range(2):
        tasks.start_machine("alpine:3", start_command="sleep 3600")
    hold(folder)


@flow
async def renders_async(shot: dict[str, Any]) -> None:
    await OctaRenderBatch(**shot).arender()


@task
def renders_in_a_task(shot: dict[str, Any]) -> None:
    OctaRenderBatch(**shot).render()


@flow
def renders_submitted(shot: dict[str, Any]) -> None:
    renders_in_a_task.submit(shot).result()


@flow(on_crashed=[STOPS], on_cancellation=[STOPS])
def renders_in_a_flow_of_its_own(shot: dict[str, Any]) -> None:
    render_animation_flow(**shot)
