"""A model of one job against the emulator: its parts in any order and process, with any fault at any request."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from octa_provider.client import OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.errors import OctaError
from octa_provider.job.result import JobOutcome, JobResult
from octa_provider.job.spec import JobSpec
from octa_provider.job.state import JobState
from octa_provider.market.requirements import Requirements
from tests.chaos.any_fault import LATE_S, PATIENT_S, SPEED, TIMEOUT_S, faults, hours
from tests.chaos.quick_clock import QuickClock

MAX_POLLS = 300


class JobMachine(RuleBasedStateMachine):
    """One job, two processes that may hold its state, and a platform that fails."""

    emulator: EmulatorHandle
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.key = f"model-job/{next(self.numbers)}"
        self.states: dict[int, JobState] = {}
        self.clock = QuickClock(SPEED)
        self.client = OctaClient(
            self.emulator.api_key, base_url=self.emulator.base_url, timeout=TIMEOUT_S, clock=self.clock
        )
        self.emulator.clear_faults()

    @initialize(exit_code=st.sampled_from((0, 3)), fault=st.none() | faults)
    def begin(self, exit_code: int, fault: dict[str, Any] | None) -> None:
        self.exit_code = exit_code
        self.spec = JobSpec(
            image="ubuntu:24.04",
            command=f"echo working; sleep 0.02; exit {exit_code}",
            requirements=Requirements(max_price_usd=5),
            timeout_s=6000,
            ready_timeout_s=1200,
        )
        if fault is not None:
            self.emulator.faults(fault)

    def teardown(self) -> None:
        """However it went: the next try does the job to the end, tells the truth, and leaves nothing."""
        time.sleep(LATE_S + TIMEOUT_S)
        self.emulator.clear_faults()
        if hasattr(self, "spec"):
            with OctaClient(
                self.emulator.api_key, base_url=self.emulator.base_url, timeout=PATIENT_S, clock=self.clock
            ) as patient:
                result = patient.jobs.run(self.spec, self.key, poll_s=2)
                if result.outcome is JobOutcome.NOT_READY:
                    # It had adopted one that never comes up, and has stopped it.
                    self.check(result)
                    result = patient.jobs.run(self.spec, self.key, poll_s=2)
            assert result.exit_code == self.exit_code
            self.check(result)
        self.client.close()
        assert [uuid for uuid, s in self.sessions().items() if s["stopped_ms"] is None] == []

    def sessions(self) -> dict[str, dict[str, Any]]:
        """What the ledger says of the key's sessions."""
        ledger = self.emulator.ledger(requests=False)
        return {s["uuid"]: s for s in ledger["sessions"] if s["rental_key"] == self.key}

    def check(self, result: JobResult) -> None:
        """What a result says is so."""
        assert result.exit_code in (None, self.exit_code)
        assert result.succeeded == (result.exit_code == 0)
        sessions = self.sessions()
        session = sessions[result.uuid]
        assert session["stopped_ms"] is not None
        before_wei = sum(sessions[one.uuid]["charge_wei"] for one in result.tried)
        assert result.cost_wei in (None, session["charge_wei"] + before_wei)

    @rule(fault=faults)
    def fail_next(self, fault: dict[str, Any]) -> None:
        self.emulator.faults(fault)

    @rule()
    def recover(self) -> None:
        self.emulator.clear_faults()

    @rule(holder=st.integers(0, 1), remembers=st.booleans())
    def start(self, holder: int, remembers: bool) -> None:
        earlier = self.states.pop(holder, None)
        try:
            self.states[holder] = self.client.jobs.start(self.spec, self.key, earlier=earlier if remembers else None)
        except OctaError:
            # A start that failed is for the next try.
            return

    @rule(holder=st.integers(0, 1), times=st.sampled_from((1, 3, MAX_POLLS)))
    @precondition(lambda self: self.states)
    def poll(self, holder: int, times: int) -> None:
        state = self.states.get(holder)
        for _ in range(times if state is not None else 0):
            assert state is not None
            try:
                state = self.client.jobs.poll(state)
            except OctaError:
                # The API refused; the state is as it was.
                return
            self.states[holder] = state
            if state.ended:
                return
            self.client.clock.sleep(5)
        assert times < MAX_POLLS or state is None or state.ended

    @rule(by_hours=hours)
    def set_wall_clock(self, by_hours: float) -> None:
        self.clock.jump(by_hours * 3600)

    @rule()
    def travel(self) -> None:
        """The state goes through JSON to another process."""
        self.states = {h: JobState.from_dict(state.to_dict()) for h, state in self.states.items()}

    @rule(holder=st.integers(0, 1))
    def lose(self, holder: int) -> None:
        """The process dies: what it knew is gone."""
        self.states.pop(holder, None)

    @rule(holder=st.integers(0, 1))
    @precondition(lambda self: any(state.ended for state in self.states.values()))
    def finish(self, holder: int) -> None:
        state = self.states.get(holder)
        if state is None or not state.ended:
            return
        del self.states[holder]
        try:
            result = self.client.jobs.finish(self.client.jobs.collect(state))
        except OctaError:
            return
        self.check(result)

    @rule()
    def run(self) -> None:
        """Another try in one go."""
        try:
            result = self.client.jobs.run(self.spec, self.key, poll_s=5)
        except OctaError:
            return
        self.check(result)

    @rule()
    @precondition(lambda self: self.states)
    def platform_ends_it(self) -> None:
        self.emulator.end_session(next(iter(self.states.values())).rental.uuid, "node went away")


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(in_process=True, machines=40, start_delay_s=0.02, balance_octa=10**9) as handle:
        yield handle


def test_a_job_keeps_its_promises_whatever_happens_in_whatever_order(emulator: EmulatorHandle) -> None:
    JobMachine.emulator = emulator
    run_state_machine_as_test(
        JobMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
