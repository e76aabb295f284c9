"""What reaches Prefect's event feed, asked from its own API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pool import Pool
from prefect import flow
from prefect.context import FlowRunContext
from prefect_server import PrefectServer
from renting import Renting
from told_events import FIELDS, events_of, related_to

from octa_provider import MachineRequest
from octa_provider.rental.terms import Bill
from prefect_blocks import rented_machine, tasks
from prefect_blocks.events import emit
from prefect_blocks.flows import reap_orphans_flow

QUICK = {"poll_s": 0.2}


def test_a_job_from_start_to_end(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    ids: list[str] = []

    @flow
    def steps() -> str:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        ids.append(str(context.flow_run.id))
        waits = f"while [ ! -e {tmp_path}/end ]; do sleep 0.1; done"
        job = tasks.run_job.submit("alpine:3", waits, **QUICK)
        renting.wait_until_running()
        # One that has ended before it was seen to run was never seen to be ready.
        events_of(server, renting.sessions[0]["uuid"], "started", "ready")
        (tmp_path / "end").touch()
        return str(job.result()["uuid"])

    uuid = steps()
    events = events_of(server, uuid, "started", "ready", "ended", "stopped")
    names = ("started", "ready", "ended", "stopped")
    assert [event["event"] for event in events] == [f"octa.session.{name}" for name in names]
    for event in events:
        assert f"prefect.flow-run.{ids[0]}" in related_to(event)
        assert event["resource"]["octa.rental-key"] == renting.sessions[0]["rental_key"]
        assert event["resource"]["octa.node-id"] == str(renting.sessions[0]["node_id"])
        assert set(event["payload"]) == FIELDS
        assert event["payload"]["price_usd"] > 0
    assert events[-1]["payload"]["outcome"] == "succeeded"


def test_a_flow_run_of_a_pool_has_its_name_and_labels(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    pool.worker()
    run = pool.submit("greets", {"name": "octa"}, labels={"team": "lighting"}, name="shot-12")
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    for event in events_of(server, renting.sessions[0]["uuid"], "started", "stopped"):
        assert event["resource"]["octa.label.team"] == "lighting"
        assert event["resource"]["prefect.resource.name"] == "shot-12"
    # What Prefect calls the flow run stays here.
    with renting.client() as octa:
        session = octa.rentals.look_up(renting.sessions[0]["uuid"])
    assert session is not None
    assert session.labels == {"team": "lighting"}


def test_tasks_and_blocks(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> str:
        started = tasks.start_machine("alpine:3", key="same")
        tasks.wait_until_ready(started, **QUICK)
        with rented_machine(MachineRequest("alpine:3"), key="same", **QUICK) as machine:
            return machine.rental.uuid

    events = events_of(server, steps(), "started", "ready", "adopted", "stopped")
    assert [event["event"].rpartition(".")[2] for event in events] == [
        "started",
        "ready",
        "adopted",
        "ready",
        "stopped",
    ]


def test_what_a_block_of_code_has_cost_is_told(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> str:
        with rented_machine(MachineRequest("alpine:3"), name="a look", **QUICK) as machine:
            return machine.rental.uuid

    event = events_of(server, steps(), "stopped")[-1]
    assert set(event["payload"]) == FIELDS
    assert event["payload"]["cost_wei"] == str(renting.sessions[0]["charge_wei"])
    assert event["payload"]["duration_s"] is not None
    assert event["resource"]["prefect.resource.name"] == "a look"


def test_the_reaper_tells_what_it_has_stopped(server: PrefectServer, renting: Renting) -> None:
    run = server.post("/flow_runs/", flow_id=server.post("/flows/", name="gone")["id"], state={"type": "CRASHED"})
    key = f"prefect/{run['id']}/machine/0"
    rental = renting.client().rentals.start(MachineRequest("alpine:3"), key=key)
    reap_orphans_flow(older_than_s=0)
    event = events_of(server, rental.uuid, "stopped")[-1]
    assert set(event["payload"]) == FIELDS
    assert event["payload"]["reason"] == "the reaper stopped it: its flow run is over"
    assert f"prefect.flow-run.{run['id']}" in related_to(event)


def test_a_bill_is_told_to_the_last_wei(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> dict[str, Any]:
        return tasks.stop_session(tasks.start_machine("alpine:3"))

    bill = steps()
    event = events_of(server, bill["uuid"], "stopped")[-1]
    assert event["payload"]["cost_wei"] == bill["charge_wei"] == str(renting.sessions[0]["charge_wei"])
    assert json.dumps(event["payload"])


def test_one_that_is_told_for_a_flow_run_is_related_to_it(server: PrefectServer, renting: Renting) -> None:
    """As the worker does, which is in no run itself."""
    uuid, run = "00000000-0000-4000-8000-000000000001", UUID(int=7)
    emit("ended", renting.client().rentals.open(uuid), flow_run_id=run, bill=Bill(uuid, 2**70, None, None, None))
    event = events_of(server, uuid, "ended")[0]
    assert f"prefect.flow-run.{run}" in related_to(event)
    assert event["payload"]["cost_wei"] == str(2**70)


@pytest.mark.parametrize("code", [0, 5])
def test_how_a_job_ended_is_in_the_event(server: PrefectServer, renting: Renting, code: int) -> None:
    @flow
    def steps() -> bool:
        return bool(tasks.run_job("alpine:3", f"exit {code}", **QUICK, return_state=True).is_completed())

    assert steps() == (code == 0)
    event = events_of(server, renting.sessions[0]["uuid"], "ended")[-1]
    assert event["payload"]["outcome"] == ("failed" if code else "succeeded")
