"""What the tests of the rental stand on: an emulator, a clock that they hold, and a look into the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from held_clock import HeldClock

from octa_provider.client import OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.market.request import MachineRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.rental import Rental

START = {"method": "POST", "path": "^/services/(mr|render|vpn)$"}
STOP = {"method": "POST", "path": "^/services/[^/]+/stop$"}
INFO = {"method": "GET", "path": "^/services/[^/]+/info$"}
LIST = {"method": "GET", "path": "/sessions"}
#: The lists after the one that a start begins with.
MISSING = {"kind": "missing_entry", "all": True, "after": 1}
EVERYTHING = {"method": "*", "path": "*", "times": None}


class Bench:
    """One test's key, client and clock.

    Attributes:
        emulator: the API.
        clock: held.
        client: ours.
        key: the rental key.
        request: what is rented.
    """

    def __init__(self, emulator: EmulatorHandle, key: str) -> None:
        self.emulator = emulator
        self.clock = HeldClock()
        self.client = OctaClient(emulator.api_key, base_url=emulator.base_url, clock=self.clock)
        self.key = key
        self.request = MachineRequest("ubuntu:24.04", disk_gb=5)
        self._requests_before = len(emulator.ledger()["requests"])

    def start(self, **options: Any) -> Rental:
        """Start our request under our key, on something dependable."""
        fields: dict[str, Any] = {"key": self.key, "requirements": Requirements(max_price_usd=5)} | options
        return self.client.rentals.start(fields.pop("request", self.request), **fields)

    def ready(self, **options: Any) -> Rental:
        """A rental whose session is up."""
        rental = self.start(**options)
        self.wait_for(lambda: self.session(rental.uuid)["system"][-1] == "service configured")
        return rental

    def rent_elsewhere(self, *, key: str | None = "", node_id: int = 1003, image: str = "ubuntu:24.04") -> str:
        """Start a session as somebody else would: under our key, another one, or none. Returns its uuid."""
        envs = {} if key is None else {"OCTA_RENTAL_KEY": key or self.key}
        item = {"id": 0, "node_id": node_id, "disk_size": 5, "image": image, "envs": envs}
        answer = self.emulator.request("POST", "/services/mr", json=[item]).json()
        return str((answer[0] if isinstance(answer, list) else answer)["uuid"])

    def sessions(self) -> list[dict[str, Any]]:
        """Every session of our key, oldest first, by the ledger."""
        return [s for s in self.emulator.ledger(requests=False)["sessions"] if s["rental_key"] == self.key]

    def session(self, uuid: str) -> dict[str, Any]:
        """One session by the ledger."""
        found: dict[str, Any] = next(s for s in self.emulator.ledger(requests=False)["sessions"] if s["uuid"] == uuid)
        return found

    def running(self) -> list[str]:
        """The sessions of our key that are billed now."""
        return [s["uuid"] for s in self.sessions() if s["stopped_ms"] is None]

    def requests(self) -> list[str]:
        """What was sent since the test began, such as `POST /services/mr`."""
        return [f"{r['method']} {r['route']}" for r in self.emulator.ledger()["requests"][self._requests_before :]]

    def posts(self) -> int:
        """How many times a session was asked for."""
        return sum(
            name in ("POST /services/mr", "POST /services/render", "POST /services/vpn") for name in self.requests()
        )

    def recover_after(self, seconds: float) -> None:
        """Lift all faults when the clock gets there."""
        self.clock.later(seconds, self.emulator.clear_faults)

    @staticmethod
    def wait_for(condition: Callable[[], object]) -> None:
        """Until something that takes the emulator milliseconds is so."""
        until = time.monotonic() + 600
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.005)


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    """One for all tests of a file; each has a key of its own."""
    with start_emulator(in_process=True, start_delay_s=0, machines=30, balance_octa=10**9) as handle:
        yield handle


@pytest.fixture
def bench(emulator: EmulatorHandle, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A bench without faults; whatever the test leaves running is stopped."""
    emulator.clear_faults()
    bench = Bench(emulator, f"test/{abs(hash(request.node.nodeid))}")
    yield bench
    bench.client.close()
    emulator.clear_faults()
    for uuid in emulator.ledger(requests=False)["running_uuids"]:
        emulator.request("POST", f"/services/{uuid}/stop")
