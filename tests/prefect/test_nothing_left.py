"""Whatever ends a flow's process, nothing is left running, and nothing is rented twice. Real processes, real server."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from flow_process import FlowProcesses
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import wait_for

pytestmark = [pytest.mark.e2e]

STOP = {"method": "POST", "path": "/services/*/stop"}


@pytest.mark.parametrize("name", ["block", "block_async", "block_in_task", "job", "job_submitted", "job_async"])
@pytest.mark.parametrize("moment", ["starting", "running"])
def test_killed_and_the_next_try_adopts(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str, moment: str
) -> None:
    run = flows.new_run(name)
    if moment == "starting":
        renting.holds_the_answer()
    first = flows.engine(run)
    renting.wait_until_running()
    if moment == "running":
        wait_for(lambda: server.state_of(run) == "Running", "the flow runs")
        wait_for(lambda: renting.count_requests("GET", f"/services/{renting.sessions[0]['uuid']}"), "it waits")
    first.kill()
    renting.emulator.clear_faults()
    assert len(renting.running()) == 1
    flows.again(run)
    (flows.folder / "end").touch()
    assert flows.engine(run).wait() == 0
    assert server.state_of(run) == "Completed"
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1, "the second try adopted it"


@pytest.mark.parametrize("name", ["job", "job_async", "block", "block_async"])
def test_killed_while_it_stops(server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str) -> None:
    run = flows.new_run(name)
    (flows.folder / "end").touch()
    # Nothing is stopped while the process that asks for it lives.
    renting.emulator.faults({"kind": "drop_before", "times": None, **STOP})
    first = flows.engine(run)
    renting.wait_until_running()
    uuid = renting.sessions[0]["uuid"]
    wait_for(lambda: renting.count_requests("POST", f"/services/{uuid}/stop"), "it asks for the stop")
    first.kill()
    renting.emulator.clear_faults()
    assert renting.running() == [uuid]
    flows.again(run)
    assert flows.engine(run).wait() == 0
    assert renting.running() == []
    assert len(renting.sessions) == 1


def assert_is_on_the_bill(server: PrefectServer, renting: Renting, run: str, name: str) -> None:
    """With what was billed until it was seen gone."""
    (row,) = server.bill_of(run, name.replace("_", "-"))
    (session,) = renting.sessions
    assert (row["outcome"], row["session"], row["node"]) == ("stopped", session["uuid"], str(session["node_id"]))
    assert float(row["USD"]) > 0


@pytest.mark.parametrize(
    "name", ["block", "block_async", "block_in_task", "job", "job_submitted", "job_async", "job_block"]
)
def test_cancelled_from_the_api_while_it_runs(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str
) -> None:
    run = flows.new_run(name)
    process = flows.runner(run)
    renting.wait_until_running()
    uuid = renting.sessions[0]["uuid"]
    if name.startswith("block"):
        wait_for((flows.folder / "runs").exists, "it runs")
    else:
        wait_for(lambda: renting.count_requests("GET", f"/services/{uuid}/logs"), "it follows the job")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    process.wait()
    assert renting.running() == []
    assert len(renting.sessions) == 1
    assert_is_on_the_bill(server, renting, run, name)


def test_cancelled_without_a_runner_it_goes_on_until_its_script_ends(
    server: PrefectServer, renting: Renting, flows: FlowProcesses
) -> None:
    """As a plain `python flow.py` does: nobody tells its process, and the document says so."""
    run = flows.new_run("block")
    process = flows.engine(run)
    wait_for((flows.folder / "runs").exists, "it runs")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelling")
    assert len(renting.running()) == 1
    (flows.folder / "end").touch()
    assert process.wait() == 0, "it ended by itself"
    assert renting.running() == []


@pytest.mark.parametrize("name", ["waiting", "waiting_async", "waiting_submitted", "block", "block_async"])
def test_cancelled_from_the_api_while_it_waits(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str
) -> None:
    renting.emulator.faults({"kind": "never_ready"})
    run = flows.new_run(name)
    process = flows.runner(run)
    renting.wait_until_running()
    before = renting.count_requests("GET", "/")
    wait_for(lambda: renting.count_requests("GET", "/") > before + 3, "it waits")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    process.wait()
    assert renting.running() == []


@pytest.mark.parametrize("name", ["block", "block_async", "job", "job_submitted", "job_async"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_ended_by_a_signal(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str, number: int
) -> None:
    """As when a container is evicted, or a terminal closed: an exception that is no `Exception`."""
    run = flows.new_run(name)
    process = flows.engine(run)
    renting.wait_until_running()
    uuid = renting.sessions[0]["uuid"]
    if name.startswith("block"):
        wait_for((flows.folder / "runs").exists, "it runs")
    else:
        wait_for(lambda: renting.count_requests("GET", f"/services/{uuid}/logs"), "it follows the job")
    process.popen.send_signal(number)
    process.wait()
    assert renting.running() == []
    server.wait_for_state(run, "Crashed")
    assert_is_on_the_bill(server, renting, run, name)


def test_two_runs_of_the_same_flow_at_once(server: PrefectServer, renting: Renting, flows: FlowProcesses) -> None:
    runs = [flows.new_run("job") for _ in range(2)]
    processes = [flows.engine(run) for run in runs]
    renting.wait_until_running(2)
    (flows.folder / "end").touch()
    assert [process.wait() for process in processes] == [0, 0]
    assert renting.running() == []
    assert sorted(key.split("/")[1] for key in renting.rental_keys) == sorted(runs)


def test_the_server_is_down_for_a_while(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    """A minute made short: the job goes on, ends, and its machine is stopped."""
    # A busy computer's server takes longer than Prefect's client waits by itself.
    flows.environment = {"PREFECT_CLIENT_MAX_RETRIES": "9"}
    run = flows.new_run("job")
    process = flows.engine(run)
    renting.wait_until_running()
    uuid = renting.sessions[0]["uuid"]
    wait_for(lambda: renting.count_requests("GET", f"/services/{uuid}/logs"), "it follows the job")
    server.process.kill()
    try:
        (tmp_path / "end").touch()
        renting.wait_until_none_runs()
    finally:
        server.start()
    server.wait_for_state(run, "Completed")
    process.wait()
    assert len(renting.sessions) == 1
