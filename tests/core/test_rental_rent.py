"""A rental for the length of a `with` block: stopped on every way out, signals included."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from octa_provider.errors import OctaNoMachineError, OctaStopError
from octa_provider.market.requirements import Requirements
from tests.core.rental_bench import EVERYTHING, START, Bench, bench, emulator
from tests.forked_python import start_python

__all__ = ["bench", "emulator"]

REQUIREMENTS = Requirements(max_price_usd=5)

PROGRAM = """
import sys, time
from octa_provider.client import OctaClient
from octa_provider.market.request import MachineRequest
with OctaClient() as client, client.rentals.rent(MachineRequest("ubuntu:24.04", disk_gb=5), key=sys.argv[1]) as rental:
    print(rental.uuid, flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def child(bench: Bench) -> Iterator[subprocess.Popen[str]]:
    """A process inside its `with` block."""
    command = [sys.executable, "-c", PROGRAM, bench.key]
    with start_python(command, env=bench.emulator.env(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        uuid = process.stdout.readline().strip()
        assert bench.running() == [uuid]
        yield process
        process.kill()


def test_the_session_is_stopped_at_the_end_of_the_block(bench: Bench) -> None:
    with bench.client.rentals.rent(bench.request, key=bench.key, requirements=REQUIREMENTS) as rental:
        assert bench.running() == [rental.uuid]
    assert bench.running() == []


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_in_the_block_stops_the_session_and_goes_on(bench: Bench, error: BaseException) -> None:
    with (
        pytest.raises(type(error)) as caught,
        bench.client.rentals.rent(bench.request, key=bench.key, requirements=REQUIREMENTS),
    ):
        raise error
    assert caught.value is error
    assert bench.running() == []


def test_a_start_that_fails_raises_its_own_error(bench: Bench) -> None:
    bench.emulator.faults({"kind": "refuse", "times": None})
    with pytest.raises(OctaNoMachineError), bench.client.rentals.rent(bench.request, key=bench.key):
        raise AssertionError("the block must not run")


def test_an_interrupt_after_the_post_leaves_nothing(bench: Bench) -> None:
    bench.emulator.faults(
        {"kind": "drop_after", **START}, {"kind": "missing_entry", "all": True, "after": 1, "times": 2}
    )

    def interrupt() -> None:
        raise KeyboardInterrupt

    bench.clock.later(1, interrupt)
    with pytest.raises(KeyboardInterrupt), bench.client.rentals.rent(bench.request, key=bench.key):
        raise AssertionError("the block must not run")
    assert len(bench.sessions()) == 1
    assert bench.running() == []


def test_a_session_that_cannot_be_stopped_at_the_end_is_named(bench: Bench) -> None:
    with (
        pytest.raises(OctaStopError) as caught,
        bench.client.rentals.rent(bench.request, key=bench.key, stop_deadline_s=30) as rental,
    ):
        bench.emulator.faults({"kind": "status", "status": 503, **EVERYTHING})
    assert caught.value.uuids == (rental.uuid,)


def test_the_block_works_in_a_thread_where_no_signal_arrives(bench: Bench) -> None:
    seen: list[str] = []

    def work() -> None:
        with bench.client.rentals.rent(bench.request, key=bench.key) as rental:
            seen.append(rental.uuid)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(600)
    assert [s["uuid"] for s in bench.sessions()] == seen
    assert bench.running() == []


def test_the_programs_own_signal_handler_is_put_back_and_never_replaced(bench: Bench) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with bench.client.rentals.rent(bench.request, key=bench.key):
        pass
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, {143}), (signal.SIGINT, {130, -signal.SIGINT})])
def test_a_signal_stops_the_session_before_the_process_ends(
    bench: Bench, child: subprocess.Popen[str], number: signal.Signals, status: set[int]
) -> None:
    child.send_signal(number)
    assert child.wait(600) in status
    assert bench.running() == []


def test_a_second_signal_does_not_cut_the_stop_short(bench: Bench, child: subprocess.Popen[str]) -> None:
    bench.emulator.faults({"kind": "delay", "seconds": 0.2, "path": "^/services/[^/]+/stop$"})
    child.send_signal(signal.SIGTERM)
    bench.wait_for(lambda: "POST /services/{uuid}/stop" in bench.requests() or child.poll() is None)
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    child.wait(600)
    assert bench.running() == []
