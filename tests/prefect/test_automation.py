"""The reaper's example: its schedule, and the automation that runs it when a flow run crashes. All of it is real."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from examples import EXAMPLES, example
from flow_process import FlowProcesses
from prefect.events import Event
from prefect_server import PrefectServer, Process, start_process
from renting import Renting
from test_left_sessions import processes_under
from waiting_for import wait_for

from octa_provider import JobResult
from octa_provider.job.result import JobOutcome
from prefect_blocks.events import emit_of, payload_of
from prefect_blocks.rental_key import flow_run_of

pytestmark = [pytest.mark.e2e]

SCRIPT = EXAMPLES / "reap_orphans.py"


@pytest.fixture
def reaper(server: PrefectServer, renting: Renting, tmp_path: Path) -> Iterator[Process]:
    """`python reap_orphans.py`, as the example says."""
    settings = {
        "PREFECT_HOME": str(tmp_path / "reaper"),
        "PREFECT_API_URL": server.api_url,
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_LOGGING_LEVEL": "INFO",
        **renting.emulator.env(),
    }
    process = start_process([sys.executable, SCRIPT], tmp_path / "reaper.log", settings)
    try:
        wait_for(lambda: "is being served" in process.output, f"the reaper serves: {process.log}")
        yield process
    finally:
        process.kill()


def engine_of(runner: Process) -> int:
    """The process that executes the flow, below the runner that watches it."""
    below = wait_for(lambda: processes_under(runner.popen.pid), "the flow has a process of its own")
    return int(below[0])


def test_the_reaper_is_scheduled_and_has_its_automation(server: PrefectServer, reaper: Process) -> None:
    found = server.post("/deployments/filter", deployments={"name": {"any_": ["reaper"]}})
    assert [schedule["schedule"]["interval"] for schedule in found[0]["schedules"]] == [900.0]
    automations = server.post("/automations/filter")
    mine = [one for one in automations if one["actions"][0].get("deployment_id") == found[0]["id"]]
    assert [one["name"] for one in mine] == ["reap when a flow run crashed"]


def test_a_flow_run_that_crashes_is_reaped_at_once(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, reaper: Process
) -> None:
    run, other = flows.new_run("block"), flows.new_run("job")
    runner = flows.runner(run)
    flows.engine(other)
    renting.wait_until_running(2)
    wait_for((flows.folder / "runs").exists, "it runs")
    os.kill(engine_of(runner), signal.SIGKILL)
    server.wait_for_state(run, "Crashed")
    wait_for(lambda: len(renting.running()) == 1, "the machine of the crashed run is stopped")
    assert [str(flow_run_of(key)) for key in still_running(renting)] == [other], "another run's machine is left alone"
    reaped = wait_for(lambda: [r for r in server.runs_of("octa-reap-orphans") if made_by_automation(r)], "its run")
    server.wait_for_state(reaped[0]["id"], "Completed")
    assert reaped[0]["parameters"]["older_than_s"] == 0
    (flows.folder / "end").touch()
    server.wait_for_state(other, "Completed")
    renting.wait_until_none_runs()


def test_a_flow_run_whose_whole_machine_is_gone_is_ended_and_reaped(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, reaper: Process
) -> None:
    run = flows.new_run("block")
    flows.runner(run)
    wait_for((flows.folder / "runs").exists, "it runs")
    flows.kill_all()
    assert server.state_of(run) == "Running", "nobody has told"
    automation = example("end_silent_runs").end_silent_runs(within=timedelta(seconds=10))
    try:
        # Its last one, as the flow's process sends them; the real ones are 30 s apart at least. A server that is busy
        # may not have read the automation yet when it comes: then another one is its last.
        wait_for(lambda: last_heartbeat_ends(server, run), "its silence is noticed")
        wait_for(lambda: not renting.running(), "its machine is stopped")
    finally:
        automation.delete()
    assert "heartbeats" in server.flow_run(run)["state"]["message"]


def test_the_automation_of_the_document_works_as_pasted(server: PrefectServer) -> None:
    document = (EXAMPLES.parents[1] / "docs" / "prefect.md").read_text()
    pasted = next(block for block in document.split("```python\n") if "CancelFlowRun" in block).split("```")[0]
    before = {one["id"] for one in server.post("/automations/filter")}
    exec(compile(pasted, "docs/prefect.md", "exec"), {"__name__": "__main__"})
    (made,) = [one for one in server.post("/automations/filter") if one["id"] not in before]
    flow_id = server.post("/flows/", name="dear")["id"]
    runs = [server.post("/flow_runs/", flow_id=flow_id, state={"type": "RUNNING"})["id"] for _ in range(2)]
    try:
        for run, outcome in zip(runs, (JobOutcome.SUCCEEDED, JobOutcome.OVER_BUDGET), strict=True):
            result = JobResult(None, outcome, "", None, (), 1, 0.1, 1.0, 5, run, "key", 1)
            emit_of("ended", run, 5, "key", payload_of(result=result), flow_run_id=UUID(run))
        server.wait_for_state(runs[1], "Cancelling", "Cancelled")
        assert server.state_of(runs[0]) == "Running"
    finally:
        server.delete(f"/automations/{made['id']}")


def last_heartbeat_ends(server: PrefectServer, run: str) -> bool:
    """Send one, and see whether the silence after it ends the run."""
    heartbeat = Event(
        event="prefect.flow-run.heartbeat", resource={"prefect.resource.id": f"prefect.flow-run.{run}"}, payload={}
    )
    server.ask("POST", "/events", json=[heartbeat.model_dump(mode="json")])
    with contextlib.suppress(AssertionError):
        server.wait_for_state(run, "Crashed", seconds=60)
    return server.state_of(run) == "Crashed"


def still_running(renting: Renting) -> list[str]:
    running = renting.running()
    return [session["rental_key"] for session in renting.sessions if session["uuid"] in running]


def made_by_automation(run: dict[str, object]) -> bool:
    created_by = run["created_by"]
    return isinstance(created_by, dict) and created_by["type"] == "AUTOMATION"
