"""Prefect's server goes away for good while a machine runs: caps and ends hold, since nobody waits for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from door import Door, ServerBehindDoor
from flow_process import FlowProcesses
from pool import Pool
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import LONG_S, wait_for

from octa_provider.job.result import JobOutcome, JobResult
from octa_provider.render.progress import ProgressTracker
from prefect_blocks.job_report import JobReport
from prefect_blocks.reports import MAX_WAITING, Reports

pytestmark = [pytest.mark.e2e]

#: Whoever waits for the server waits for longer than any test.
FOR_EVER = {"PREFECT_CLIENT_MAX_RETRIES": "1000", "PREFECT_API_REQUEST_TIMEOUT": "600"}
WAYS = ["killed", "frozen"]


@pytest.fixture
def own_server(server: PrefectServer) -> Iterator[PrefectServer]:
    with Door(server.port) as door:
        yield ServerBehindDoor(server, door)


@pytest.fixture
def flows(own_server: PrefectServer, renting: Renting, tmp_path: Path) -> Iterator[FlowProcesses]:
    flows = FlowProcesses(own_server, renting, tmp_path)
    # With no more time than users have: nobody may wait for the server that long.
    flows.environment = FOR_EVER | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    yield flows
    flows.close()


def follows(renting: Renting) -> None:
    renting.wait_until_running()
    uuid = renting.sessions[0]["uuid"]
    wait_for(lambda: renting.count_requests("GET", f"/services/{uuid}/logs") > 3, "it follows the job")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["job_that_counts", "job_that_counts_async"])
def test_the_cap_of_a_job_holds(
    own_server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str, way: str
) -> None:
    run = flows.new_run(name, max_cost_usd=0.05)
    flows.engine(run)
    follows(renting)
    wait_for(lambda: own_server.artifacts_of(run), "its progress is shown")
    own_server.go_away(way)
    uuid = renting.running()[0]
    seen = renting.count_requests("GET", f"/services/{uuid}")
    wait_for(lambda: renting.count_requests("GET", f"/services/{uuid}") > seen + 20, "it is watched as before")
    renting.emulator.advance_clock(5 * 3600)
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_job_that_ends_is_stopped(
    own_server: PrefectServer, renting: Renting, flows: FlowProcesses, way: str
) -> None:
    flows.engine(flows.new_run("job_that_counts"))
    follows(renting)
    own_server.go_away(way)
    (flows.folder / "end").touch()
    renting.wait_until_none_runs()


@pytest.mark.parametrize("name", ["block", "block_async", "single_steps"])
def test_a_machine_is_stopped_where_the_flow_says_so(
    own_server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str
) -> None:
    flows.engine(flows.new_run(name))
    wait_for((flows.folder / "runs").exists, "it runs")
    own_server.go_away("frozen")
    (flows.folder / "end").touch()
    renting.wait_until_none_runs()


@pytest.mark.parametrize("way", WAYS)
def test_the_cap_of_a_flow_run_in_a_pool_holds(
    own_server: PrefectServer, renting: Renting, tmp_path: Path, way: str
) -> None:
    pool = Pool(own_server, renting, tmp_path)
    try:
        worker = pool.worker(**FOR_EVER, PYTHONPATH=os.environ.get("PYTHONPATH", ""))
        run = pool.submit("works", {"folder": str(tmp_path)}, max_cost_usd=0.05)
        wait_for((tmp_path / "runs").exists, "the flow runs")
        wait_for(lambda: own_server.flow_run(run)["infrastructure_pid"], "the machine is known")
        own_server.go_away(way)
        uuid = renting.running()[0]
        seen = renting.count_requests("GET", f"/services/{uuid}")
        wait_for(lambda: renting.count_requests("GET", f"/services/{uuid}") > seen + 10, "it is watched as before")
        renting.emulator.advance_clock(5 * 3600)
        renting.wait_until_none_runs()
        assert worker.popen.poll() is None
    finally:
        pool.close()


def test_a_worker_that_prefect_ends_since_its_server_is_away_sees_to_its_machines_first(
    own_server: PrefectServer, renting: Renting, tmp_path: Path
) -> None:
    """Prefect ends a worker that has asked in vain for some minutes; made short here."""
    pool = Pool(own_server, renting, tmp_path)
    try:
        quick = {"PREFECT_CLIENT_MAX_RETRIES": "1", "PREFECT_WORKER_QUERY_SECONDS": "0.1"}
        worker = pool.worker(**quick)
        run = pool.submit("works", {"folder": str(tmp_path)}, max_cost_usd=0.05)
        wait_for((tmp_path / "runs").exists, "the flow runs")
        wait_for(lambda: own_server.flow_run(run)["infrastructure_pid"], "the machine is known")
        own_server.go_away("killed")
        wait_for(lambda: "are seen to their end first" in worker.output, "Prefect has given the worker up")
        assert len(renting.running()) == 1
        renting.emulator.advance_clock(5 * 3600)
        renting.wait_until_none_runs()
        worker.wait()
    finally:
        pool.close()


def test_of_what_waits_only_the_latest_of_each_kind_is_sent() -> None:
    import threading

    goes_on, sent = threading.Event(), []
    reports = Reports()
    reports.put("first", lambda: goes_on.wait(LONG_S))
    for number in range(5):
        reports.put("bar", lambda number=number: sent.append(number))
    reports.put("cost", lambda: sent.append("cost"))
    assert not reports.flush(0.01)
    goes_on.set()
    assert reports.flush(LONG_S)
    assert sent == [4, "cost"]


def test_what_can_not_be_sent_is_lost_and_the_next_is_sent() -> None:
    sent = []
    reports = Reports()

    def away() -> None:
        raise OSError("no route")

    reports.put("bar", away)
    assert reports.flush(LONG_S)
    reports.put("bar", lambda: sent.append("next"))
    assert reports.flush(LONG_S)
    assert sent == ["next"]


def test_what_waits_is_bounded() -> None:
    import threading

    goes_on, sent = threading.Event(), []
    reports = Reports()
    began = threading.Event()
    reports.put("first", lambda: (began.set(), goes_on.wait(LONG_S)))
    assert began.wait(LONG_S)
    for number in range(MAX_WAITING + 10):
        reports.put(str(number), lambda number=number: sent.append(number))
    goes_on.set()
    assert reports.flush(LONG_S)
    assert sent == list(range(10, MAX_WAITING + 10))


def test_a_report_of_a_job_outside_any_run_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    asked = Mock()
    monkeypatch.setattr("prefect_blocks.job_report.artifacts", asked)
    report = JobReport("job", logging.getLogger("test"), ProgressTracker(None, None))
    report.line("50%")
    report.ended(
        JobResult(
            exit_code=0,
            outcome=JobOutcome.SUCCEEDED,
            message="",
            logs_path="out.log",
            outputs=("out.png",),
            cost_wei=1,
            cost_usd=1.0,
            duration_s=1.0,
            node_id=1,
            uuid="uuid",
            key="key",
            attempts=1,
        ),
        {80: "https://p.example/"},
    )
    assert asked.create_progress_artifact.mock_calls == []
    assert asked.create_table_artifact.mock_calls == []
    assert asked.create_markdown_artifact.mock_calls == []
