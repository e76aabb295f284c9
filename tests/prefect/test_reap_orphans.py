"""`reap_orphans_flow`: stops machines whose run is over or was deleted, and no others."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator

import pytest
from flow_process import FlowProcesses
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import wait_for

from octa_provider import MachineRequest
from octa_provider.errors import OctaStopError
from prefect_blocks.flows import reap_orphans_flow

pytestmark = [pytest.mark.e2e]


@pytest.fixture
def rented(renting: Renting) -> Iterator[Renting]:
    yield renting
    renting.emulator.clear_faults()
    client = renting.client()
    for key in renting.rental_keys:
        if key:
            client.rentals.stop(key)


def rent(renting: Renting, key: str) -> str:
    return renting.client().rentals.start(MachineRequest("alpine:3"), key=key).uuid


@pytest.mark.parametrize("end", ["CRASHED", "CANCELLED", "FAILED", "COMPLETED", "deleted"])
def test_the_machine_of_a_run_that_is_over_is_stopped(
    server: PrefectServer, rented: Renting, flows: FlowProcesses, end: str
) -> None:
    run = flows.new_run("job")
    orphan = rent(rented, f"prefect/{run}/flow/a-0")
    of_worker = rent(rented, f"prefect/{run}/worker/0")
    if end == "deleted":
        server.delete(f"/flow_runs/{run}")
    else:
        server.post(f"/flow_runs/{run}/set_state", state={"type": end}, force=True)
    seen = reap_orphans_flow(older_than_s=0, dry_run=True)
    assert {one["uuid"] for one in seen["orphans"]} == {orphan, of_worker}
    assert len(rented.running()) == 2
    reaped = reap_orphans_flow(older_than_s=0)
    assert set(reaped["stopped"]) == {orphan, of_worker}
    assert rented.running() == []
    if end != "deleted":
        rows = server.bill_of(run, "job")
        assert {(row["session"], row["outcome"]) for row in rows} == {
            (one, "left running") for one in reaped["stopped"]
        }
        assert all(float(row["USD"]) > 0 for row in rows)


def test_others_are_never_touched(server: PrefectServer, rented: Renting, flows: FlowProcesses) -> None:
    run, over = flows.new_run("job"), flows.new_run("job")
    server.post(f"/flow_runs/{over}/set_state", state={"type": "CRASHED"}, force=True)
    keys = [
        # A run that has not ended.
        f"prefect/{run}/flow/a-0",
        # Other people's words, with the id of a run that is over.
        f"airflow/{over}/flow/a-0",
        f"prefectural/{over}/flow/a-0",
        # Of ours, but of no run.
        "prefect/no-run/by-hand",
    ]
    for key in keys:
        rent(rented, key)
    vpn = rented.emulator.request("POST", "/services/mr", json=[order(rented)]).json()
    reaped = reap_orphans_flow(older_than_s=0)
    assert reaped["orphans"] == []
    assert len(rented.running()) == 5
    rented.emulator.end_session(next(iter(vpn if isinstance(vpn, list) else [vpn]))["uuid"])


def order(renting: Renting) -> dict[str, object]:
    """A session that was started without a key."""
    with renting.client() as client:
        node = client.services.mr.available()[0].node_id
    return {
        "id": 0,
        "node_id": node,
        "disk_size": 1,
        "image": "alpine:3",
        "app": "",
        "envs": {},
        "ports": [],
        "http_ports": [],
        "start_command": "",
        "entrypoint": "",
    }


def test_only_old_enough_ones(server: PrefectServer, rented: Renting, flows: FlowProcesses) -> None:
    run = flows.new_run("job")
    rent(rented, f"prefect/{run}/flow/a-0")
    server.post(f"/flow_runs/{run}/set_state", state={"type": "CRASHED"}, force=True)
    assert reap_orphans_flow(older_than_s=3600)["orphans"] == []
    assert len(rented.running()) == 1


def test_a_called_flow_is_gone_with_its_caller(server: PrefectServer, rented: Renting, flows: FlowProcesses) -> None:
    """Killed with -9, the called flow stays "Running" for ever: nobody is left to tell its end."""
    run = flows.new_run("parent")
    process = flows.engine(run)
    wait_for((flows.folder / "runs").exists, "it runs")
    process.kill()
    key = rented.rental_keys[0]
    called = key.split("/")[1]
    assert called != run
    assert reap_orphans_flow(older_than_s=0)["orphans"] == [], "nobody has told the caller's end yet"
    server.post(f"/flow_runs/{run}/set_state", state={"type": "CRASHED"}, force=True)
    assert server.state_of(called) == "Running"
    assert len(reap_orphans_flow(older_than_s=0)["stopped"]) == 1
    assert rented.running() == []


def test_a_run_that_can_not_be_looked_up_counts_as_alive(
    server: PrefectServer, rented: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    rent(rented, f"prefect/{uuid.uuid4()}/flow/a-0")

    def away(*args: object) -> bool:
        raise httpx.ConnectError("the API is away")

    monkeypatch.setattr("prefect_blocks.flows.owner_lives", away)
    assert reap_orphans_flow(older_than_s=0)["orphans"] == []
    monkeypatch.undo()
    assert len(rented.running()) == 1


def test_what_can_not_be_stopped_fails_the_flow(
    server: PrefectServer, rented: Renting, flows: FlowProcesses, time_passes: Callable[[float], None]
) -> None:
    run = flows.new_run("job")
    orphan = rent(rented, f"prefect/{run}/flow/a-0")
    server.post(f"/flow_runs/{run}/set_state", state={"type": "CRASHED"}, force=True)
    rented.emulator.faults({"kind": "drop_before", "method": "POST", "path": "/services/*/stop", "times": None})

    def an_hour_passes() -> None:
        asked = f"/services/{orphan}/stop"
        wait_for(lambda: rented.count_requests("POST", asked), "it is asked to stop")
        time_passes(3600)

    passing = threading.Thread(target=an_hour_passes, daemon=True)
    passing.start()
    with pytest.raises(OctaStopError, match=orphan):
        reap_orphans_flow(older_than_s=0)
    passing.join()
