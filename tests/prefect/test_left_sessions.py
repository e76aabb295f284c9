"""The hook that stops what a flow run has left: Prefect runs it where the flow's process is no more."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from flow_process import FlowProcesses
from prefect.client.orchestration import get_client
from prefect_server import PrefectServer, Process
from renting import Renting
from waiting_for import wait_for
from warm_children import NAME as FORKS

from octa_provider import MachineRequest
from prefect_blocks import stop_left_sessions
from prefect_blocks.rental_key import worker_key

pytestmark = [pytest.mark.e2e]


def processes_under(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        # Not the one of these tests that forks the others.
        children = [child for child in children if Path(f"/proc/{child}/comm").read_text().strip() != FORKS]
    except OSError:
        # It has ended meanwhile.
        return []
    return children + [grandchild for child in children for grandchild in processes_under(child)]


def kill_the_flow_under(runner: Process) -> None:
    """Kill -9 of the flow's process alone; the runner that started it lives on."""
    below = processes_under(runner.popen.pid)
    assert below, runner.output
    for pid in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["hooked", "hooked_parent"])
@pytest.mark.parametrize("moment", ["starting", "running"])
def test_a_flow_that_is_killed_leaves_nothing(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str, moment: str
) -> None:
    """Without another try, and without the reaper."""
    if moment == "starting":
        renting.holds_the_answer()
    run = flows.new_run(name)
    runner = flows.runner(run)
    renting.wait_until_running()
    if moment == "running":
        wait_for((flows.folder / "runs").exists, "it runs")
    kill_the_flow_under(runner)
    runner.wait()
    server.wait_for_state(run, "Crashed")
    assert renting.running() == []
    (session,) = renting.sessions
    # A child's is on the child's own bill.
    for row in server.bill_of(run, "hooked") if name == "hooked" else []:
        assert (row["outcome"], row["session"]) == ("left running", session["uuid"])
        assert float(row["USD"]) > 0
    assert len(server.bill_of(run, "hooked")) == (name == "hooked")


def test_a_flow_that_is_cancelled_leaves_nothing(server: PrefectServer, renting: Renting, flows: FlowProcesses) -> None:
    run = flows.new_run("hooked")
    runner = flows.runner(run)
    wait_for((flows.folder / "runs").exists, "it runs")
    assert len(renting.running()) == 1
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    runner.wait()
    assert renting.running() == []


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_flow_forgot_is_stopped_when_it_ends(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, fails: bool
) -> None:
    run = flows.new_run("forgets", fails=fails)
    flows.engine(run).wait()
    assert server.state_of(run) == ("Failed" if fails else "Completed")
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_only_what_the_flow_run_itself_has_rented(
    server: PrefectServer, renting: Renting, flows: FlowProcesses
) -> None:
    """Not the machine that it runs on, not another flow run's, and nothing of anybody else."""
    from uuid import UUID

    run, other = flows.new_run("hooked"), flows.new_run("hooked")
    mine = f"prefect/{run}/flow/a-0"
    others = [worker_key(UUID(run), 0), f"prefect/{other}/flow/a-0", f"airflow/{run}/a", f"prefect/{run}0/flow/a-0"]
    client = renting.client()
    for key in [mine, *others]:
        client.rentals.start(MachineRequest("alpine:3"), key=key)
    with get_client(sync_client=True) as prefect:
        flow_run = prefect.read_flow_run(UUID(run))
    assert flow_run.state is not None
    stop_left_sessions(None, flow_run, flow_run.state)
    left = {session["uuid"] for session in renting.sessions if session["uuid"] not in renting.running()}
    assert left == {session["uuid"] for session in renting.sessions if session["rental_key"].endswith(f"/{mine}")}
    for key in others:
        client.rentals.stop(key)


def test_one_flow_run_that_can_not_be_looked_at_leaves_the_others_stopped(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    from uuid import UUID

    from octa_provider.errors import OctaNetworkError
    from octa_provider.rental.rentals import Rentals

    run, called = flows.new_run("hooked"), flows.new_run("hooked")
    renting.client().rentals.start(MachineRequest("alpine:3"), key=f"prefect/{called}/flow/a-0")
    monkeypatch.setattr("prefect_blocks.left_sessions.family_of", lambda prefect, uuid: [UUID(run), UUID(called)])
    reap = Rentals.reap

    def cut_off(self: Rentals, prefix: str = "", **options: Any) -> Any:
        if run in prefix:
            raise OctaNetworkError("no route today", maybe_sent=False)
        return reap(self, prefix, **options)

    monkeypatch.setattr(Rentals, "reap", cut_off)
    with get_client(sync_client=True) as prefect:
        flow_run = prefect.read_flow_run(UUID(run))
    with pytest.raises(OctaNetworkError):
        stop_left_sessions(None, flow_run, flow_run.state)
    assert renting.running() == []
