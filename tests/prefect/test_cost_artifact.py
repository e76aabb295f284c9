"""What work has cost, as a person finds it in Prefect's UI: by the work's name, with every try."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect_server import PrefectServer
from renting import Renting
from test_events import events_of
from this_run import this_run
from waiting_for import wait_for

from octa_provider import MachineRequest
from prefect_blocks import JobFailedError, OctaJob, rented_machine, tasks
from prefect_blocks.cost_artifact import put_cost_of_orphan

pytestmark = pytest.mark.usefixtures("run_logs")
QUICK: dict[str, Any] = {"poll_s": 0.2}


def keys_of(server: PrefectServer, flow_run_id: str) -> set[str]:
    # Those without a key are Prefect's own.
    return {str(one["key"]) for one in server.artifacts_of(flow_run_id) if one["key"]}


def bill_of(server: PrefectServer, flow_run_id: str, key: str) -> tuple[list[dict[str, str]], str]:
    """The rows of its newest version, and what it is said to be."""
    made = [one for one in server.artifacts_of(flow_run_id) if one["key"] == key]
    newest = max(made, key=lambda one: str(one["created"]))
    return json.loads(newest["data"]), newest["description"]


def test_it_is_named_by_the_work(server: PrefectServer, renting: Renting) -> None:
    @flow(name="Nightly Training")
    def nightly() -> str:
        tasks.run_job("alpine:3", "true", **QUICK)
        tasks.run_job("alpine:3", "true", key="chunk 1", **QUICK)
        tasks.run_job("alpine:3", "true", name="Evaluation", **QUICK)
        with rented_machine(MachineRequest("alpine:3"), name="A look", **QUICK):
            return this_run()

    names = ("nightly-training", "chunk-1", "evaluation", "a-look")
    assert keys_of(server, nightly()) == {f"octa-{name}-cost" for name in names}


def test_each_machine_that_was_tried_for_a_block_has_its_row_and_its_events(
    server: PrefectServer, renting: Renting, time_passes: Callable[[float], None]
) -> None:
    @flow
    def steps() -> str:
        request = MachineRequest("alpine:3")
        with rented_machine(request, name="A look", start_attempts=2, **QUICK):
            return this_run()

    with renting.first_never_up(time_passes):
        run = steps()
    rows, _ = bill_of(server, run, "octa-a-look-cost")
    sessions = [session["uuid"] for session in renting.sessions]
    assert [row["session"] for row in rows] == sessions
    assert len(sessions) == 2
    for session in renting.sessions:
        events = events_of(server, session["uuid"], "started", "stopped")
        assert events[0]["resource"]["octa.node-id"] == str(session["node_id"])
        assert events[-1]["payload"]["cost_wei"] == str(session["charge_wei"])


def test_the_bill_is_of_all_tries(server: PrefectServer, renting: Renting) -> None:
    ids: list[str] = []

    @flow(retries=1)
    def tries_twice() -> None:
        ids.append(this_run())
        OctaJob(image="alpine:3", command="echo 25%; sleep 1; exit 3" if len(ids) == 1 else "true", **QUICK).run()

    tries_twice()
    rows, told = bill_of(server, ids[0], "octa-tries-twice-cost")
    assert [one["outcome"] for one in rows] == ["failed", "succeeded"]
    assert [one["done"] for one in rows] == ["25%", "100%"]
    assert [one["session"] for one in rows] == [session["uuid"] for session in renting.sessions]
    assert "in 2 sessions: " in told
    total = sum(float(one["USD"]) for one in rows)
    assert f"{total:.6f}" in told
    assert "wei" not in rows[0], "the columns that are looked for would be out of view"


def test_a_ring_of_a_job_that_failed_does_not_stay(
    server: PrefectServer, renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_blocks.job_report.UPDATE_S", 0.0)
    ids: list[str] = []
    command = f"echo 25%; while [ ! -e {tmp_path}/end ]; do sleep 0.1; done; exit 3"

    @flow
    def fails() -> None:
        ids.append(this_run())
        run = OctaJob(image="alpine:3", command=command, **QUICK).trigger()
        wait_for(lambda: "octa-fails-progress" in keys_of(server, ids[0]), "its ring")
        (tmp_path / "end").touch()
        run.wait_for_completion()

    with pytest.raises(JobFailedError):
        fails()
    assert keys_of(server, ids[0]) == {"octa-fails-cost"}


def test_what_a_person_stops_is_on_the_bill_and_its_ring_does_not_stay(
    server: PrefectServer, renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_blocks.job_report.UPDATE_S", 0.0)

    @flow
    def stops() -> str:
        run = OctaJob(image="alpine:3", command="echo 25%; sleep 3600", **QUICK).trigger()
        wait_for(lambda: "octa-stops-progress" in keys_of(server, this_run()), "its ring")
        run.stop()
        return this_run()

    ended = stops()
    assert keys_of(server, ended) == {"octa-stops-cost"}
    (row,) = server.bill_of(ended, "stops")
    assert (row["outcome"], row["done"], row["session"]) == ("stopped", "25%", renting.sessions[0]["uuid"])
    assert float(row["USD"]) > 0


def test_a_session_that_is_on_a_bill_is_on_no_other(server: PrefectServer, renting: Renting) -> None:
    """As when a reaper finds what its own flow run has stopped and told meanwhile."""

    @flow
    def billed() -> str:
        tasks.run_job("alpine:3", "true", name="Evaluation", **QUICK)
        return this_run()

    run = billed()
    (row,) = server.bill_of(run, "evaluation")
    put_cost_of_orphan(row | {"outcome": "left running"}, UUID(run), "billed")
    assert keys_of(server, run) == {"octa-evaluation-cost"}
    assert server.bill_of(run, "evaluation") == [row]
    put_cost_of_orphan(row | {"outcome": "left running", "session": "another"}, UUID(run), "billed")
    assert [one["session"] for one in server.bill_of(run, "billed")] == ["another"]


def test_a_block_of_code_shows_its_lines_and_its_cost(server: PrefectServer, renting: Renting) -> None:
    @flow
    def looks() -> str:
        with rented_machine(MachineRequest("alpine:3"), **QUICK) as machine:
            machine.run("echo said on the machine")
            return this_run()

    run = looks()
    (row,), _ = bill_of(server, run, "octa-looks-cost")
    assert row["session"] == renting.sessions[0]["uuid"]
    assert float(row["USD"]) > 0
    wait_for(lambda: any("was stopped after" in line for line in server.logs_of(run)), "its end in the run's log")
    lines = server.logs_of(run)
    assert "said on the machine" in lines
    for word in ("Started session", "is up", "was stopped after"):
        assert sum(word in line for line in lines) == 1, word
