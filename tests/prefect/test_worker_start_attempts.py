"""Another machine for a flow run whose machine never comes up: one after the other, whatever becomes of the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from more_time import AHEAD, ahead_by
from pool import Pool
from prefect_server import PrefectServer
from pydantic import ValidationError
from renting import Renting
from waiting_for import wait_for

from octa_provider.errors import OctaConfigError
from prefect_blocks.worker_configuration import OctaJobConfiguration

pytestmark = [pytest.mark.e2e]

NEVER_READY = {"kind": "never_ready", "times": 1}
START = {"method": "POST", "path": "^/services/mr$"}
TWO: dict[str, Any] = {"start_attempts": 2}


def an_hour_passes(server: PrefectServer, run: str, clock: Path) -> None:
    """For the worker with that clock, once it waits for the flow run's first machine."""
    wait_for(lambda: server.flow_run(run)["infrastructure_pid"], "the machine is known")
    ahead_by(3600, clock)


def completed_on_the_second(server: PrefectServer, renting: Renting, run: str) -> None:
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    first, second = sorted(renting.sessions, key=lambda one: one["started_ms"])
    assert first["node_id"] != second["node_id"]
    assert first["stopped_ms"] <= second["started_ms"]
    assert renting.rental_keys == [f"prefect/{run}/worker/0"] * 2
    told = f"{second['uuid']} was stopped after"
    said = wait_for(lambda: [line for line in server.logs_of(run) if told in line], "what it cost is told")
    assert "with 1 before it that never came up" in said[0]
    pid = f"{second['uuid']}/{second['rental_key']}"
    wait_for(lambda: server.flow_run(run)["infrastructure_pid"] == pid, "Prefect knows which machine it has")


def test_a_flow_run_whose_machine_never_comes_up_runs_on_another(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    renting.emulator.faults(NEVER_READY)
    pool.worker(**{AHEAD: str(tmp_path / "ahead")})
    run = pool.submit("greets", **TWO)
    an_hour_passes(server, run, tmp_path / "ahead")
    completed_on_the_second(server, renting, run)
    assert any("never came up, and was stopped" in line for line in server.logs_of(run))


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "delay", "method": "GET", "path": "^/services/mr$", "seconds": 86_400, "after": 1},
        {"kind": "delay", "after_effect": True, **START, "seconds": 86_400, "after": 1},
    ],
    ids=["stopped, and no other started", "another started, and nobody told"],
)
def test_a_worker_that_is_killed_between_two_machines_leaves_the_rest_to_the_next(
    server: PrefectServer, renting: Renting, pool: Pool, fault: dict[str, Any], tmp_path: Path
) -> None:
    renting.emulator.faults(NEVER_READY, fault)
    worker = pool.worker(**{AHEAD: str(tmp_path / "ahead")})
    run = pool.submit("greets", **TWO)
    an_hour_passes(server, run, tmp_path / "ahead")
    if fault["method"] == "GET":
        renting.wait_until_held()
    else:
        wait_for(lambda: len(renting.sessions) == 2, "it has another")
    worker.kill()
    renting.emulator.clear_faults()
    pool.worker()
    completed_on_the_second(server, renting, run)


def test_when_none_comes_up_the_flow_run_has_crashed_and_says_why(
    server: PrefectServer, renting: Renting, pool: Pool
) -> None:
    renting.emulator.faults(NEVER_READY | {"times": None})
    pool.worker()
    run = pool.submit("greets", **TWO, ready_timeout_s=2)
    server.wait_for_state(run, "Crashed")
    assert "not ready for the command in time" in server.flow_run(run)["state"]["message"]
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 2


def test_one_that_is_cancelled_while_its_second_machine_comes_up_has_none(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    renting.emulator.faults(NEVER_READY | {"times": None})
    pool.worker(**{AHEAD: str(tmp_path / "ahead")})
    run = pool.submit("greets", start_attempts=3)
    an_hour_passes(server, run, tmp_path / "ahead")
    wait_for(lambda: len(renting.sessions) == 2, "a second one")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 2


@pytest.mark.parametrize("attempts", [0, 11, "many"])
def test_what_is_no_number_of_machines_is_refused(attempts: Any) -> None:
    with pytest.raises(ValidationError, match="start_attempts"):
        OctaJobConfiguration(command="true", image="alpine:3", env={}, start_attempts=attempts)


def test_a_node_that_is_named_allows_no_other(renting: Renting) -> None:
    configuration = OctaJobConfiguration(command="true", image="alpine:3", env={}, start_attempts=2, node_id=5)
    with pytest.raises(OctaConfigError, match="start_attempts=2 tries other machines, and node_id=5 allows none"):
        configuration.spec()
