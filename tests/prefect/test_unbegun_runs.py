"""Flow runs whose worker died before it rented anything: the pool's next worker begins them, each on one machine."""

from __future__ import annotations

import pytest
from pool import Pool
from prefect_server import PrefectServer, Process
from renting import Renting
from waiting_for import wait_for

pytestmark = [pytest.mark.e2e]

SLOW_MARKET = {"kind": "delay", "method": "GET", "path": "^/services/mr$", "seconds": 86_400, "times": None}


def left_before_its_post(server: PrefectServer, renting: Renting, pool: Pool, name: str = "first") -> str:
    """A flow run whose worker was killed while it asked which machines there are; returns its id."""
    renting.emulator.faults(SLOW_MARKET)
    worker = pool.worker(name)
    run = pool.submit("greets")
    server.wait_for_state(run, "Submitting")
    renting.wait_until_held()
    worker.kill()
    renting.emulator.clear_faults()
    assert (server.state_of(run), renting.sessions) == ("Submitting", [])
    return run


def completed_on_one_machine(server: PrefectServer, renting: Renting, run: str) -> None:
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert renting.rental_keys == [f"prefect/{run}/worker/0"]


@pytest.mark.parametrize("next_name", ["first", "another"])
def test_the_next_worker_begins_it(server: PrefectServer, renting: Renting, pool: Pool, next_name: str) -> None:
    """At once under the name of the one that died; else when Prefect counts that one as gone."""
    run = left_before_its_post(server, renting, pool)
    pool.worker(next_name)
    completed_on_one_machine(server, renting, run)
    told = [line for line in server.logs_of(run) if "Its worker ended before it rented a machine" in line]
    assert len(told) == 1


def test_two_workers_that_see_it_at_once_begin_it_once(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    run = left_before_its_post(server, renting, pool)
    for name in ("second", "third"):
        # However slow it is, neither takes the other for gone.
        pool.worker(name, PREFECT_WORKER_HEARTBEAT_SECONDS="15")
    completed_on_one_machine(server, renting, run)


def test_one_that_was_killed_before_it_put_its_name_to_it(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    """What is left then: a flow run that is pending, and says nothing of whose it was."""
    run = pool.submit("greets")
    server.set_state(run, "PENDING")
    assert "prefect.worker.name" not in server.flow_run(run)["labels"]
    pool.worker()
    completed_on_one_machine(server, renting, run)


def test_one_that_is_run_again_has_its_earlier_machine_s_id(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: object
) -> None:
    """Which has long ended: it must not be taken for the machine of this run."""
    first = pool.worker("first")
    run = pool.submit("dies", {"folder": str(tmp_path)})
    server.wait_for_state(run, "Crashed")
    renting.wait_until_none_runs()
    wait_for(lambda: server.flow_run(run)["infrastructure_pid"], "the machine is known")
    first.kill()
    server.post(f"/flow_runs/{run}/set_state", state={"type": "SCHEDULED"}, force=True)
    server.set_state(run, "PENDING")
    pool.worker("first")
    wait_for(lambda: len(renting.sessions) == 2, "a second machine")
    server.wait_for_state(run, "Crashed")
    renting.wait_until_none_runs()
    assert renting.rental_keys == [f"prefect/{run}/worker/0", f"prefect/{run}/worker/1"]


def test_one_that_was_cancelled_meanwhile_rents_nothing(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    run = left_before_its_post(server, renting, pool)
    server.set_state(run, "CANCELLING")
    pool.worker("first")
    server.wait_for_state(run, "Cancelled")
    assert renting.sessions == []


def test_what_another_living_worker_begins_is_left_to_it(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    """It waits for a machine, for longer than two looks of the other one take."""
    # However slow it is, it is not taken for gone.
    pool.worker("first", PREFECT_WORKER_HEARTBEAT_SECONDS="600")
    run = pool.submit("greets", max_price_usd=0.0001, wait_for_machine_s=3600)
    wait_for(lambda: any("waits up to" in line for line in server.logs_of(run)), "it waits")
    second = pool.worker("second")
    wait_for(lambda: "started!" in second.output, "the second one is up")
    looks = renting.count_requests("GET", "/sessions")
    wait_for(lambda: renting.count_requests("GET", "/sessions") > looks + 3, "it has looked")
    assert "submitting flow run" not in second.output
    assert server.flow_run(run)["labels"]["prefect.worker.name"] == "first"
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")


def test_a_worker_that_ends_while_a_flow_run_waits_leaves_it_to_the_next_one(
    server: PrefectServer, renting: Renting, pool: Pool
) -> None:
    renting.emulator.faults({"kind": "garbage", "method": "GET", "path": "^/services/mr$", "body": "[]", "times": None})
    first = pool.worker("first")
    run = pool.submit("greets", wait_for_machine_s=3600)
    wait_for(lambda: any("waits up to" in line for line in server.logs_of(run)), "it waits")
    ended(pool, first)
    renting.emulator.clear_faults()
    pool.worker("first")
    completed_on_one_machine(server, renting, run)


def ended(pool: Pool, worker: Process) -> None:
    """It ends by itself when it is told to: nothing that it waits for holds it."""
    pool.end_of(worker)
