"""Whoever tells what happens to a session tells it by the same names, with the same fields."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pool import Pool
from prefect import flow
from prefect.states import Crashed
from prefect.transactions import transaction
from prefect_server import PrefectServer
from renting import Renting
from shots import ONE_MACHINE, shot
from this_run import this_run
from told_events import FIELDS, RESOURCE, events_of, names_of, related_to

from octa_provider import MachineRequest
from octa_provider.errors import OctaError
from prefect_blocks import OctaJob, OctaWorker, rented_machine, stop_left_sessions, tasks
from prefect_blocks.flows import reap_orphans_flow, render_animation_flow
from prefect_blocks.worker_configuration import OctaJobConfiguration

pytestmark = pytest.mark.e2e

LABELS = {"project": "atlas"}
QUICK: dict[str, Any] = {"poll_s": 0.2, "labels": LABELS}
MACHINE = MachineRequest("alpine:3", start_command="sleep infinity", labels=LABELS)


@dataclass
class Scene:
    server: PrefectServer
    renting: Renting
    pool: Pool
    folder: Path

    def last(self) -> str:
        return str(self.renting.sessions[-1]["uuid"])

    def has_seen(self, *names: str) -> str:
        """Waits until so much was told of the session that was rented last; returns it."""
        self.renting.wait_until_running()
        events_of(self.server, self.last(), *names)
        return self.last()

    def left(self, key: str = "left") -> str:
        """A session of this flow run that nobody in this process has rented."""
        return self.renting.client().rentals.start(MACHINE, key=f"prefect/{this_run()}/{key}").uuid


def a_job(scene: Scene) -> str:
    waits = f"while [ ! -e {scene.folder}/end ]; do sleep 0.1; done"
    job = tasks.run_job.submit("alpine:3", waits, name="the work", **QUICK)
    uuid = scene.has_seen("started", "ready")
    (scene.folder / "end").touch()
    job.wait()
    return uuid


def a_job_that_is_stopped(scene: Scene) -> str:
    run = OctaJob(image="alpine:3", command="sleep 3600", name="the work", **QUICK).trigger()
    scene.has_seen("started", "ready")
    run.stop()
    return run.uuid


def a_block_of_code(scene: Scene) -> str:
    with rented_machine(MACHINE, name="the work", poll_s=0.2) as machine:
        return machine.rental.uuid


def a_block_of_code_that_adopts(scene: Scene) -> str:
    scene.left("the%20work")
    with rented_machine(MACHINE, key="the work", poll_s=0.2) as machine:
        return machine.rental.uuid


def single_steps(scene: Scene) -> str:
    started = tasks.start_machine("alpine:3", key="the work", labels=LABELS)
    tasks.wait_until_ready(started, poll_s=0.2)
    tasks.stop_session(started)
    return str(started["uuid"])


def steps_of_the_render_service(scene: Scene) -> str:
    started = tasks.start_render(key="the work", labels=LABELS)
    tasks.stop_session(started)
    return str(started["uuid"])


def steps_without_a_name(scene: Scene) -> str:
    started = tasks.start_machine("alpine:3", labels=LABELS)
    asyncio.run(tasks.await_until_ready.fn(started, poll_s=0.2))
    tasks.stop_session(started)
    return str(started["uuid"])


def a_wait_that_is_too_long(scene: Scene) -> str:
    scene.renting.emulator.faults({"kind": "never_ready", "times": 1})
    started = tasks.start_machine("alpine:3", key="the work", labels=LABELS)
    assert tasks.wait_until_ready(started, poll_s=0.2, deadline_s=0.5, return_state=True).is_failed()
    return str(started["uuid"])


def a_wait_of_a_coroutine_that_is_too_long(scene: Scene) -> str:
    scene.renting.emulator.faults({"kind": "never_ready", "times": 1})
    started = tasks.start_machine("alpine:3", key="the work", labels=LABELS)
    with pytest.raises(OctaError):
        asyncio.run(tasks.await_until_ready.fn(started, poll_s=0.2, deadline_s=0.5))
    return str(started["uuid"])


def steps_of_a_uuid(scene: Scene) -> str:
    uuid = scene.left("the%20work")
    tasks.wait_until_ready(uuid, poll_s=0.2)
    tasks.stop_session(uuid)
    return uuid


def what_a_flow_forgets(scene: Scene) -> str:
    return str(tasks.start_machine("alpine:3", key="the work", labels=LABELS)["uuid"])


def a_transaction_that_fails(scene: Scene) -> str:
    def fails() -> None:
        with transaction():
            tasks.start_machine("alpine:3", key="the work", labels=LABELS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    return scene.last()


def a_batch(scene: Scene) -> str:
    render_animation_flow(**shot(scene.folder, "1-2", labels=LABELS, **ONE_MACHINE))
    return scene.last()


def a_worker(scene: Scene) -> str:
    scene.pool.worker()
    run = scene.pool.at_work(scene.folder, name="the work", labels=LABELS)
    uuid = scene.has_seen("started", "ready")
    (scene.folder / "end").touch()
    scene.server.wait_for_state(run, "Completed")
    return uuid


def a_kill_through_prefect(scene: Scene) -> str:
    uuid = scene.left("worker/1")
    configuration = OctaJobConfiguration(name="the work", labels=LABELS)

    async def kill() -> None:
        async with OctaWorker(work_pool_name=scene.pool.name) as worker:
            await worker.kill_infrastructure(f"{uuid}/prefect/{this_run()}/worker/1", configuration)

    asyncio.run(kill())
    return uuid


def the_hook(scene: Scene) -> str:
    uuid = scene.left("the%20work")
    run = scene.server.flow_run(this_run())
    stop_left_sessions(None, _Run(run["id"]), Crashed(), settle_s=0)  # type: ignore[arg-type]
    return uuid


class _Run:
    def __init__(self, id: str) -> None:
        from uuid import UUID

        self.id = UUID(id)


def the_reaper(scene: Scene) -> str:
    flow_id = scene.server.post("/flows/", name="the work")["id"]
    run = scene.server.post("/flow_runs/", flow_id=flow_id, state={"type": "CRASHED"})
    key = f"prefect/{run['id']}/flow/{'0' * 12}-0"
    uuid = scene.renting.client().rentals.start(MACHINE, key=key).uuid
    reap_orphans_flow(older_than_s=0)
    return uuid


#: Who tells, and what of.
TOLD: dict[Callable[[Scene], str], list[str]] = {
    a_job: ["started", "ready", "ended", "stopped"],
    a_job_that_is_stopped: ["started", "ready", "stopped"],
    a_block_of_code: ["started", "ready", "stopped"],
    a_block_of_code_that_adopts: ["adopted", "ready", "stopped"],
    single_steps: ["started", "ready", "stopped"],
    steps_of_the_render_service: ["started", "stopped"],
    steps_without_a_name: ["started", "ready", "stopped"],
    a_wait_that_is_too_long: ["started", "stopped"],
    a_wait_of_a_coroutine_that_is_too_long: ["started", "stopped"],
    steps_of_a_uuid: ["ready", "stopped"],
    what_a_flow_forgets: ["started", "stopped"],
    a_transaction_that_fails: ["started", "stopped"],
    a_batch: ["started", "ready", "stopped"],
    a_worker: ["started", "ready", "ended", "stopped"],
    a_kill_through_prefect: ["stopped"],
    the_hook: ["stopped"],
    the_reaper: ["stopped"],
}
#: What the work is called where it is not by its own name.
CALLED = {steps_without_a_name: "tells-of-a-session", a_batch: "Frames 1-2 of shot.py"}


@pytest.mark.parametrize("happens", TOLD, ids=lambda one: one.__name__)
def test_it_is_told(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path, happens: Callable[[Scene], str]
) -> None:
    @flow(name="tells-of-a-session")
    def tells() -> str:
        return happens(Scene(server, renting, pool, tmp_path))

    uuid = tells()
    events = events_of(server, uuid, *TOLD[happens])
    assert names_of(events) == TOLD[happens]
    session = next(one for one in renting.sessions if one["uuid"] == uuid)
    assert (events[-1]["payload"]["cost_wei"] is None) == (happens is a_batch)
    for event in events:
        resource = event["resource"]
        assert set(event["payload"]) == FIELDS
        assert set(resource) == RESOURCE | {"octa.label.project"} | {one for one in resource if "prefect." in one}
        assert resource["octa.label.project"] == "atlas"
        assert resource["prefect.resource.name"] == CALLED.get(happens, "the work")
        assert resource["octa.node-id"] == str(session["node_id"])
        # A batch's key is what its machines' begin with, and its amounts are in its artifact.
        key = session["rental_key"]
        assert (f"{key}/" if happens is not a_batch else key).startswith(f"{resource['octa.rental-key']}/")
        assert (key == resource["octa.rental-key"]) == (happens is not a_batch)
        assert (event["payload"]["price_usd"] is None) == (happens is a_batch)
        assert any(one.startswith("prefect.flow-run.") for one in related_to(event))
