"""Waiting for a machine instead of failing when nothing fits: `wait_for_machine_s`."""

from __future__ import annotations

import json
import logging
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from octa_provider import Clock
from octa_provider.client import OctaClient
from octa_provider.errors import OctaCancelledError, OctaConfigError, OctaError, OctaNoMachineError
from octa_provider.job.result import JobOutcome
from octa_provider.job.spec import JobSpec
from octa_provider.market.request import MachineRequest, VpnRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.rental import Rental
from tests.core.rental_bench import EVERYTHING, START, Bench, bench, emulator
from tests.forked_python import start_python

__all__ = ["bench", "emulator"]

#: Nothing is on offer.
EMPTY = {"kind": "garbage", "method": "GET", "path": "^/services/(mr|vpn)$", "body": "[]", "times": None}
FULL = {"kind": "refuse", "reason": "Node is busy", "times": None}
ONE_NODE = Requirements(node_id=1003)

PROGRAM = """
import logging, sys
from octa_provider.client import OctaClient
from octa_provider.market.request import MachineRequest
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
with OctaClient() as octa:
    request = MachineRequest("ubuntu:24.04", disk_gb=5)
    with octa.rentals.rent(request, key=sys.argv[1], wait_for_machine_s=3600, machine_poll_s=0.2):
        print("rented", flush=True)
"""


def test_a_start_waits_until_a_machine_is_on_offer_and_rents_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.emulator.faults(EMPTY)
    bench.recover_after(600)
    rental = bench.start(wait_for_machine_s=3600)
    assert 600 <= bench.clock.at_s < 660
    assert bench.running() == [rental.uuid]
    assert bench.posts() == 1
    told = [r.getMessage() for r in caplog.records if "for a machine" in r.getMessage()]
    assert len(told) == 2
    assert told[0] == f"{bench.key} waits up to 1h for a machine: no machine fits: the catalogue is empty"
    assert told[1].startswith(f"{bench.key} waited 10m ")
    assert told[1].endswith(f"for a machine and has session {rental.uuid}")


def test_without_a_wait_it_fails_at_once_as_ever(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    with pytest.raises(OctaNoMachineError) as caught:
        bench.start()
    assert caught.value.waited_s == 0
    assert "Waited" not in str(caught.value)
    assert bench.clock.slept == []


def test_a_full_market_is_waited_for_and_no_machine_is_asked_again_and_again(bench: Bench) -> None:
    bench.emulator.faults(FULL)
    bench.recover_after(300)
    rental = bench.start(requirements=ONE_NODE, wait_for_machine_s=3600)
    assert rental.node_id == 1003
    assert bench.running() == [rental.uuid]
    # One that has refused is left alone for half a minute.
    assert bench.posts() <= 2 + 300 / 30
    assert 300 <= bench.clock.at_s < 400


def test_a_start_that_loses_the_last_machine_waits_for_it(bench: Bench) -> None:
    room = next(m.gpu_count for m in bench.client.services.mr.available() if m.node_id == 1003)
    others = [bench.rent_elsewhere(key=None) for _ in range(room)]
    bench.clock.later(100, lambda: bench.emulator.request("POST", f"/services/{others[0]}/stop"))
    with pytest.raises(OctaNoMachineError, match="Node is busy"):
        bench.start(requirements=ONE_NODE)
    rental = bench.start(requirements=ONE_NODE, wait_for_machine_s=3600)
    assert rental.node_id == 1003
    assert bench.clock.at_s >= 100
    assert bench.running() == [rental.uuid]


def test_each_look_ranks_what_is_on_offer_then(bench: Bench) -> None:
    # Odd records of the catalogue aside.
    nodes = {m.node_id: m for m in bench.client.services.mr.available() if m.price_usd is not None}
    by_price = sorted(nodes.values(), key=lambda m: m.price_usd or 0)
    cheap, middle, dear = by_price[0], by_price[5], by_price[-1]
    records = bench.emulator.request("GET", "/services/mr").json()

    def offer(*offered: int) -> None:
        body = json.dumps([record for record in records if record.get("node_id") in offered])
        bench.emulator.clear_faults()
        bench.emulator.faults(EMPTY | {"body": body})

    offer()
    bench.clock.later(50, lambda: offer(dear.node_id))
    bench.clock.later(150, lambda: offer(dear.node_id, middle.node_id, cheap.node_id))
    rental = bench.start(requirements=Requirements(max_price_usd=middle.price_usd), wait_for_machine_s=3600)
    assert rental.node_id == cheap.node_id
    assert bench.clock.at_s >= 150


def test_the_error_says_how_long_was_waited_and_why_nothing_fits(bench: Bench) -> None:
    with pytest.raises(OctaNoMachineError) as caught:
        bench.start(requirements=Requirements(max_price_usd=0.0001), wait_for_machine_s=600)
    text = str(caught.value)
    assert text.startswith("no machine fits: ")
    assert "too expensive" in text
    assert "Waited 10m for one (wait_for_machine_s)" in text
    assert caught.value.waited_s == 600
    assert pickle.loads(pickle.dumps(caught.value)).waited_s == 600
    assert bench.clock.at_s == 600
    assert bench.posts() == 0


def test_a_cap_that_a_machine_would_break_is_never_bent_by_a_wait(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    bench.recover_after(100)
    with pytest.raises(OctaNoMachineError, match="does not pay for 60 s of the cheapest machine"):
        bench.start(max_cost_usd=0.000001, wait_for_machine_s=600)
    assert bench.posts() == 0


def test_an_api_that_is_away_ends_no_wait(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.emulator.faults(EMPTY)

    def go_away() -> None:
        bench.emulator.clear_faults()
        bench.emulator.faults({"kind": "status", "status": 503, **EVERYTHING})

    bench.clock.later(60, go_away)
    bench.recover_after(1800)
    rental = bench.start(wait_for_machine_s=3600)
    assert 1800 <= bench.clock.at_s < 1900
    assert bench.running() == [rental.uuid]
    assert bench.posts() == 1
    assert len([r for r in caplog.records if "asking again" in r.getMessage()]) <= 2


def test_a_wait_that_ends_while_the_api_is_away_says_so(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    bench.clock.later(60, lambda: bench.emulator.faults({"kind": "status", "status": 503, **EVERYTHING}))
    with pytest.raises(OctaNoMachineError, match=r"the API did not answer when it was last asked: .*503"):
        bench.start(wait_for_machine_s=600)


def test_a_key_that_is_refused_meanwhile_ends_the_wait(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    refused = {"kind": "status", "status": 401, "body": {"message": "Unauthorized"}, **EVERYTHING}

    def refuse() -> None:
        bench.emulator.clear_faults()
        bench.emulator.faults(refused)

    bench.clock.later(60, refuse)
    with pytest.raises(OctaError, match="401"):
        bench.start(wait_for_machine_s=3600)
    assert bench.clock.at_s < 200


def test_a_cancel_ends_the_wait_at_once_and_nothing_runs(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    cancelled = threading.Event()
    bench.clock.later(100, cancelled.set)
    with pytest.raises(OctaCancelledError, match="nothing of it runs"):
        bench.start(wait_for_machine_s=3600, is_cancelled=cancelled.is_set)
    assert bench.clock.at_s <= 101
    assert bench.posts() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(bench: Bench, number: signal.Signals) -> None:
    bench.emulator.faults(EMPTY)
    command = [sys.executable, "-c", PROGRAM, bench.key]
    with start_python(command, env=bench.emulator.env(), stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert "waits up to 1h for a machine" in child.stdout.readline()
            child.send_signal(number)
            assert child.wait(600) in {143, 130, -signal.SIGINT}
            assert "rented" not in child.stdout.read()
        finally:
            child.kill()
    assert bench.sessions() == []


def test_a_session_that_another_try_of_the_key_has_started_meanwhile_is_adopted(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    bench.clock.later(100, bench.rent_elsewhere)
    rental = bench.start(wait_for_machine_s=3600)
    assert rental.adopted
    assert bench.clock.at_s < 150
    assert bench.running() == [rental.uuid]


def test_a_lost_answer_in_a_wait_is_found_and_not_rented_twice(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)

    def open_with_a_lost_answer() -> None:
        bench.emulator.clear_faults()
        bench.emulator.faults({"kind": "drop_after", **START})

    bench.clock.later(100, open_with_a_lost_answer)
    rental = bench.start(wait_for_machine_s=3600)
    assert bench.running() == [rental.uuid]
    assert len(bench.sessions()) == 1


def test_a_vpn_is_waited_for_too(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    bench.recover_after(100)
    rental = bench.start(request=VpnRequest(), requirements=Requirements(), wait_for_machine_s=3600)
    assert rental.service == "vpn"
    assert bench.posts() == 1


@pytest.mark.parametrize("name", ["wait_for_machine_s", "machine_poll_s"])
@pytest.mark.parametrize("seconds", [-1, float("nan"), "60", True])
def test_a_wait_that_is_no_time_is_refused_before_anything_is_asked(bench: Bench, name: str, seconds: object) -> None:
    with pytest.raises(OctaConfigError, match=name):
        bench.start(**{name: seconds})
    assert bench.requests() == []


def test_a_job_waits_for_its_machine(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url) as client:
        timer = threading.Timer(0.5, bench.emulator.clear_faults)
        timer.start()
        result = client.jobs.run(
            JobSpec("ubuntu:24.04", "true"), bench.key, poll_s=0.1, wait_for_machine_s=60, machine_poll_s=0.2
        )
        timer.join()
    assert result.outcome is JobOutcome.SUCCEEDED
    assert len(bench.sessions()) == 1


def start_in_real_time(
    bench: Bench,
    clock: Clock,
    number: int,
    wait_s: float,
    poll_s: float,
    node_id: int | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Rental:
    """A start with a client and a key of its own; answers are shared with whoever has the same clock."""
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=clock) as client:
        return client.rentals.start(
            MachineRequest("ubuntu:24.04", disk_gb=1),
            key=f"{bench.key}/{number}",
            requirements=Requirements(node_id=node_id),
            wait_for_machine_s=wait_s,
            machine_poll_s=poll_s,
            is_cancelled=is_cancelled,
        )


def test_fifty_waits_in_one_process_ask_for_the_catalogue_once_an_interval(bench: Bench) -> None:
    bench.emulator.faults(EMPTY)
    clock, began = Clock(), time.monotonic()
    with ThreadPoolExecutor(50) as pool:
        waits = [pool.submit(start_in_real_time, bench, clock, number, 4.0, 1.0) for number in range(50)]
        for wait in waits:
            with pytest.raises(OctaNoMachineError, match="Waited"):
                wait.result()
    intervals = time.monotonic() - began
    asked = bench.requests()
    assert 1 <= asked.count("GET /services/mr") <= intervals + 1
    # Each start looks twice for a session of its key before it waits; then one request serves all of them.
    assert asked.count("GET /sessions") <= 2 * 50 + intervals + 1
    assert bench.posts() == 0


def test_of_two_waits_for_one_room_one_gets_it_and_the_other_waits_on(bench: Bench) -> None:
    room = next(m for m in bench.client.services.mr.available() if m.gpu_count == 1)
    bench.emulator.faults(EMPTY)
    clock, ended = Clock(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        waits = [
            pool.submit(start_in_real_time, bench, clock, number, 120.0, 0.2, room.node_id, ended.is_set)
            for number in range(2)
        ]
        bench.wait_for(lambda: bench.requests().count("GET /services/mr") >= 2)
        bench.emulator.clear_faults()
        bench.wait_for(lambda: any(wait.done() for wait in waits))
        seen = bench.requests().count("GET /services/mr")
        bench.wait_for(lambda: bench.requests().count("GET /services/mr") >= seen + 3)
        assert [wait.done() for wait in waits].count(True) == 1
        ended.set()
        errors = [wait.exception() for wait in waits]
    assert sorted(type(error).__name__ for error in errors) == ["NoneType", "OctaCancelledError"]
    running = [s for s in bench.emulator.ledger(requests=False)["sessions"] if s["stopped_ms"] is None]
    assert [s["node_id"] for s in running] == [room.node_id]
