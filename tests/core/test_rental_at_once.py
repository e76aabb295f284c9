"""Two tries of one key at the same time: the oldest session stays, and both get it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from octa_provider.client import OctaClient
from octa_provider.market.request import MachineRequest
from octa_provider.rental.rental import Rental
from tests.core.rental_bench import START, Bench, bench, emulator
from tests.forked_python import start_python

__all__ = ["bench", "emulator"]

PROGRAM = """
import json, sys
from octa_provider.client import OctaClient
from octa_provider.market.request import MachineRequest
with OctaClient() as client:
    print("ready", flush=True)
    sys.stdin.readline()
    rental = client.rentals.start(MachineRequest("ubuntu:24.04", disk_gb=5), key=sys.argv[1])
    print(json.dumps(rental.to_dict()), flush=True)
"""


@pytest.mark.parametrize("tries", [2, 3, 5])
@pytest.mark.parametrize("lost", [False, True])
def test_threads_that_start_one_key_at_once_get_one_session(bench: Bench, tries: int, lost: bool) -> None:
    if lost:
        bench.emulator.faults({"kind": "drop_after", **START})
    together = threading.Barrier(tries)

    def start(_: int) -> Rental:
        with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=bench.clock) as client:
            together.wait()
            return client.rentals.start(MachineRequest("ubuntu:24.04", disk_gb=5), key=bench.key)

    with ThreadPoolExecutor(tries) as pool:
        rentals = list(pool.map(start, range(tries)))
    # Whoever resolved last has seen them all; a holder of a later one is told by its wait, and its stop sweeps the key.
    oldest = min(bench.sessions(), key=lambda s: (s["started_ms"], s["uuid"]))["uuid"]
    assert bench.running() == [oldest]
    assert {rental.uuid for rental in rentals} == {oldest}


def test_processes_that_start_one_key_at_once_get_one_session(bench: Bench) -> None:
    children = [
        start_python(
            [sys.executable, "-c", PROGRAM, bench.key],
            env=bench.emulator.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        uuids = {json.loads(child.communicate(timeout=600)[0])["uuid"] for child in children}
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert len(uuids) == 1
    assert bench.running() == list(uuids)


def test_a_second_start_between_the_posts_of_the_first_finds_its_session(bench: Bench) -> None:
    second: list[Rental] = []
    first = bench.start(on_started=lambda rental: second or second.append(bench.start()))
    assert [rental.uuid for rental in second] == [first.uuid]
    assert bench.running() == [first.uuid]
