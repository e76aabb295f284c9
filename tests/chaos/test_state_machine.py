"""A model of rentals and jobs against the emulator: any steps in any order, with any fault at any request."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from octa_provider.client import OctaClient
from octa_provider.emulator.platform.prices import wei_to_usd
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.errors import OctaError, OctaStopError
from octa_provider.market.request import MachineRequest, RenderRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.cost import PRICE_STEP_USD
from octa_provider.rental.rental import Rental
from octa_provider.rental.terms import Bill
from tests.chaos.any_fault import BLINDING, LATE_S, PATIENT_S, SPEED, TIMEOUT_S, faults, hours
from tests.chaos.quick_clock import QuickClock

HOUR_S = 3600.0


class RentalMachine(RuleBasedStateMachine):
    """One piece of work, two processes that may hold its rental, and a platform that fails.

    Another installation does the same work on the same account: whatever happens, its machine is its own.
    """

    emulator: EmulatorHandle
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.key = f"model/{next(self.numbers)}"
        self.held: dict[int, Rental] = {}
        self.bills: list[Bill] = []
        self.blinded = False
        self.left_over = False
        self.clock = QuickClock(SPEED)
        self.client = self.client_of("ours")
        self.neighbour = self.client_of("neighbour")
        self.emulator.clear_faults()
        self.patient_neighbour = self.client_of("neighbour", PATIENT_S)
        self.neighbours = self.patient_neighbour.rentals.start(MachineRequest("ubuntu:24.04"), key=self.key)

    def client_of(self, namespace: str, timeout_s: float = TIMEOUT_S) -> OctaClient:
        """A client of one of the two installations."""
        return OctaClient(
            self.emulator.api_key,
            base_url=self.emulator.base_url,
            timeout=timeout_s,
            namespace=namespace,
            clock=self.clock,
        )

    def teardown(self) -> None:
        """However it went: the next try and its stop leave nothing, and every bill was true."""
        time.sleep(LATE_S + TIMEOUT_S)
        self.emulator.clear_faults()
        with self.client_of("ours", PATIENT_S) as patient:
            rental = patient.rentals.start(MachineRequest("ubuntu:24.04"), key=self.key)
            self.bills.append(rental.stop())
        self.client.close()
        self.neighbours.stop()
        self.patient_neighbour.close()
        self.neighbour.close()
        sessions = self.sessions()
        assert [s["uuid"] for s in sessions.values() if s["stopped_ms"] is None] == []
        for bill in self.bills:
            if bill.charge_wei is not None:
                assert bill.charge_wei == sessions[bill.uuid]["charge_wei"]

    def sessions(self) -> dict[str, dict[str, Any]]:
        """What the ledger says of the key's sessions."""
        ledger = self.emulator.ledger(requests=False)
        mine = {s["uuid"]: s for s in ledger["sessions"] if s["rental_key"] == f"ours/{self.key}"}
        self.neighbours_run = self.neighbours.uuid in ledger["running_uuids"]
        return mine

    @initialize(fault=st.none() | faults)
    def begin(self, fault: dict[str, Any] | None) -> None:
        if fault is not None:
            self.fail_next(fault)

    @rule(fault=faults)
    def fail_next(self, fault: dict[str, Any]) -> None:
        self.blinded |= fault["kind"] in BLINDING
        # A list that is answered by `[]` or a 200 without its content lacks every entry.
        self.blinded |= fault["kind"] in ("garbage", "status") and fault.get("body") == "[]"
        self.emulator.faults(fault)

    @rule()
    def recover(self) -> None:
        self.emulator.clear_faults()

    @rule(
        holder=st.integers(0, 1),
        render=st.booleans(),
        cancel_after=st.none() | st.integers(0, 6),
        price=st.sampled_from((0.01, 1.0, None)),
    )
    def start(self, holder: int, render: bool, cancel_after: int | None, price: float | None) -> None:
        asked = itertools.count()
        request = RenderRequest() if render else MachineRequest("ubuntu:24.04")
        try:
            self.held[holder] = self.client.rentals.start(
                request,
                key=self.key,
                requirements=Requirements(max_price_usd=price),
                deadline_s=120,
                is_cancelled=lambda: cancel_after is not None and next(asked) >= cancel_after,
            )
        except OctaError:
            # What it could not clean up is for the next try, which the end of every example is.
            self.left_over = True

    @rule(holder=st.integers(0, 1))
    @precondition(lambda self: self.held)
    def wait(self, holder: int) -> None:
        rental = self.held.get(holder)
        if rental is None:
            return
        try:
            session = rental.wait_until_ready(deadline_s=60, poll_s=2)
        except OctaError:
            del self.held[holder]
        else:
            assert session.uuid == rental.uuid
            if rental.max_price_usd is not None:
                price_usd = wei_to_usd(self.sessions()[rental.uuid]["price_wei"])
                assert price_usd <= rental.max_price_usd + PRICE_STEP_USD

    @rule(holder=st.integers(0, 1), score=st.none() | st.integers(1, 5))
    @precondition(lambda self: self.held)
    def stop(self, holder: int, score: int | None) -> None:
        rental = self.held.pop(holder, None)
        if rental is None:
            return
        try:
            bill = rental.stop(score, deadline_s=120)
        except OctaStopError:
            self.left_over = True
        else:
            self.bills.append(bill)
            session = self.sessions().get(rental.uuid)
            assert session is not None
            assert session["stopped_ms"] is not None

    @rule(holder=st.integers(0, 1))
    def lose(self, holder: int) -> None:
        """The process dies: what it knew is gone."""
        self.held.pop(holder, None)

    @rule()
    def travel(self) -> None:
        """A rental goes through JSON to another process."""
        self.held = {h: self.client.rentals.restore(rental.to_dict()) for h, rental in self.held.items()}

    def running(self) -> set[str]:
        """Our sessions that are billed now."""
        return {uuid for uuid, s in self.sessions().items() if s["stopped_ms"] is None}

    @rule(dry_run=st.booleans(), alive=st.booleans(), older_than_s=st.sampled_from((0.0, HOUR_S)))
    def reap(self, dry_run: bool, alive: bool, older_than_s: float) -> None:
        before = self.running()
        try:
            self.client.rentals.reap(
                "model", is_alive=lambda key: alive, dry_run=dry_run, older_than_s=older_than_s, deadline_s=60
            )
        except OctaError:
            return
        if dry_run or alive or older_than_s:
            # What runs is seconds old, whatever a clock says.
            assert self.running() == before

    @rule(any_namespace=st.booleans())
    def neighbour_reaps(self, any_namespace: bool) -> None:
        """It knows the owners of its own work, and none of ours."""
        before = self.running()
        with contextlib.suppress(OctaError):
            self.neighbour.rentals.reap(
                is_alive=lambda key: True if key.startswith("neighbour/") else None,
                any_namespace=any_namespace,
                dry_run=False,
                deadline_s=60,
            )
        assert self.running() == before

    @rule(by_hours=hours)
    def set_wall_clock(self, by_hours: float) -> None:
        self.clock.jump(by_hours * HOUR_S)

    @rule()
    @precondition(lambda self: self.held)
    def platform_ends_it(self) -> None:
        self.emulator.end_session(next(iter(self.held.values())).uuid, "node went away")

    @invariant()
    def one_session_at_most(self) -> None:
        running = [s for s in self.sessions().values() if s["stopped_ms"] is None]
        assert len(running) <= (2 if self.blinded or self.left_over else 1)
        assert self.neighbours_run


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(in_process=True, machines=40, start_delay_s=0.02, balance_octa=10**9) as handle:
        # A stranger's session, without a key: nothing that we do may touch it.
        started = handle.request(
            "POST", "/services/mr", json=[{"id": 0, "node_id": 1001, "disk_size": 5, "image": "ubuntu:24.04"}]
        ).json()
        yield handle
        uuid = (started[0] if isinstance(started, list) else started)["uuid"]
        assert uuid in handle.ledger(requests=False)["running_uuids"]


def test_a_rental_keeps_its_promises_whatever_happens_in_whatever_order(emulator: EmulatorHandle) -> None:
    RentalMachine.emulator = emulator
    run_state_machine_as_test(
        RentalMachine,
        settings=settings(
            max_examples=50,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
