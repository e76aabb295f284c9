"""What a start stops of its own job, since another machine takes its place: on the job's bill, and off its cap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from job_bench import Bench, LeapingClock, emulator

from octa_provider import JobOutcome, JobSpec, JobState, MachineRequest, Rental, Requirements
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.errors import OctaBudgetError, OctaNoMachineError
from octa_provider.models import Session
from octa_provider.rental.tried_machine import TriedMachine
from octa_provider.rental.tried_mark import tried_before, tried_envs

__all__ = ["emulator"]

HOUR_S = 3600.0
DEAR = Requirements(order_by="blender_score")


@pytest.fixture
def bench(emulator: EmulatorHandle, request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(emulator, f"replaced/{request.node.name}", LeapingClock())
    yield bench
    bench.stop()


def spec(**changes: Any) -> JobSpec:
    given: dict[str, Any] = {
        "image": "ubuntu:24.04",
        "command": "sleep 600",
        "requirements": DEAR,
        "max_cost_usd": 50.0,
    }
    return JobSpec(**(given | changes))


def cheaper(bench: Bench, state: JobState, job: JobSpec) -> JobSpec:
    """The same job, with its machine too dear by now."""
    return replace(job, requirements=Requirements(max_price_usd=price(bench, state) * 0.9, order_by="blender_score"))


def price(bench: Bench, state: JobState) -> float:
    prices = bench.client.services.session(state.rental.uuid).info().prices
    assert prices is not None
    assert prices.base_usd
    return prices.base_usd


def billed_wei(bench: Bench) -> int:
    return sum(session["charge_wei"] for session in bench.sessions())


def uuids(state: JobState) -> list[str]:
    return [one.uuid for one in state.tried]


def test_one_that_is_too_dear_by_now_is_on_the_bill_and_off_the_cap(bench: Bench) -> None:
    job = spec(max_cost_usd=50.0)
    first = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(HOUR_S)
    second = bench.client.jobs.start(cheaper(bench, first, job), bench.key, earlier=first)
    (before,) = second.tried
    assert (before.uuid, before.replaced, second.rental.uuid != first.rental.uuid) == (first.rental.uuid, True, True)
    assert "its price is" in before.message
    assert before.cost_usd == pytest.approx(first.rental.price_usd, rel=0.01)
    assert second.rental.max_cost_usd == pytest.approx(50.0 - (before.spent_usd or 0.0))
    assert JobState.from_dict(json.loads(json.dumps(second.to_dict()))) == second
    result = bench.client.jobs.finish(second)
    assert result.cost_wei == billed_wei(bench)
    assert result.cost_wei > (before.cost_wei or 0) > 0


def test_whoever_carries_on_knows_of_it_though_who_started_the_other_died_before_he_wrote_it_down(
    bench: Bench,
) -> None:
    job = spec()
    first = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(HOUR_S)
    second = bench.client.jobs.start(cheaper(bench, first, job), bench.key)
    for earlier in (None, first):
        again = bench.client.jobs.start(job, bench.key, earlier=earlier)
        assert (again.rental.uuid, uuids(again), again.tried[0].replaced) == (second.rental.uuid, uuids(second), True)
        assert again.rental.max_cost_usd == pytest.approx(second.rental.max_cost_usd)
    assert bench.client.jobs.finish(again).cost_wei == billed_wei(bench)


def test_of_one_that_is_replaced_twice_both_count(bench: Bench) -> None:
    job = spec()
    first = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(HOUR_S)
    second = bench.client.jobs.start(cheaper(bench, first, job), bench.key)
    bench.emulator.advance_clock(HOUR_S)
    # Nobody has written anything down.
    third = bench.client.jobs.start(cheaper(bench, second, job), bench.key)
    assert uuids(third) == [first.rental.uuid, second.rental.uuid]
    assert third.rental.max_cost_usd == pytest.approx(50.0 - sum(one.spent_usd or 0.0 for one in third.tried))
    assert bench.client.jobs.finish(third).cost_wei == billed_wei(bench)
    assert len(bench.sessions()) == 3


def test_when_the_first_has_spent_the_cap_no_other_is_started_and_the_error_says_what_was_spent(bench: Bench) -> None:
    job = spec(max_cost_usd=2.0)
    first = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(10 * HOUR_S)
    said = rf"nothing is left of max_cost_usd=2 for another machine\. Session {first.rental.uuid} was stopped after"
    with pytest.raises(OctaBudgetError, match=said):
        bench.client.jobs.start(cheaper(bench, first, job), bench.key)
    assert (len(bench.sessions()), bench.running()) == (1, 0)


def test_one_that_is_gone_when_it_is_looked_at_counts(bench: Bench) -> None:
    job = spec()
    first = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(HOUR_S)

    def goes(rental: Rental) -> None:
        if rental.uuid == first.rental.uuid:
            bench.emulator.end_session(rental.uuid)

    second = bench.client.jobs.start(job, bench.key, on_started=goes)
    assert uuids(second) == [first.rental.uuid]
    assert tried_before(bench.client.services.session(second.rental.uuid).info())[0].uuid == first.rental.uuid
    assert second.rental.max_cost_usd == pytest.approx(50.0 - (second.tried[0].spent_usd or 0.0))
    assert bench.client.jobs.finish(second).cost_wei == billed_wei(bench)


def test_other_work_under_the_key_is_on_its_own_bill(bench: Bench) -> None:
    bench.client.jobs.start(spec(command="sleep 500"), bench.key)
    bench.emulator.advance_clock(HOUR_S)
    state = bench.client.jobs.start(spec(), bench.key)
    assert (state.tried, state.rental.max_cost_usd, len(bench.sessions())) == ((), 50.0, 2)


def test_one_that_was_replaced_is_no_start_attempt_and_its_machine_may_be_taken(bench: Bench) -> None:
    job = spec(start_attempts=2, ready_timeout_s=20, command="echo done")
    first = bench.client.jobs.start(replace(job, command="echo done"), bench.key)
    bench.emulator.faults({"kind": "never_ready", "times": 1})
    bench.emulator.advance_clock(HOUR_S)
    result = bench.client.jobs.run(cheaper(bench, first, job), bench.key, poll_s=0.5)
    assert result.outcome is JobOutcome.SUCCEEDED
    assert [one.replaced for one in result.tried] == [True, False]
    assert result.cost_wei == billed_wei(bench)
    assert len(bench.sessions()) == 3


def test_a_wait_for_a_machine_forgets_nothing_that_it_has_stopped(bench: Bench) -> None:
    job = spec()
    first = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(HOUR_S)
    bench.emulator.faults({"kind": "refuse", "method": "POST", "path": "/services/mr", "times": None})
    waiting: list[str] = []

    def opens(text: str) -> None:
        waiting.append(text)
        bench.emulator.clear_faults()

    second = bench.client.jobs.start(
        cheaper(bench, first, job), bench.key, wait_for_machine_s=600, machine_poll_s=1, on_waiting=opens
    )
    assert waiting
    told = bench.client.services.session(second.rental.uuid).info()
    assert (uuids(second), [one.uuid for one in tried_before(told)]) == 2 * ([first.rental.uuid],)
    assert (told.user_envs or {})["OCTA_REPLACES"] == first.rental.uuid


def test_one_whose_price_rises_at_the_start_is_on_the_bill(bench: Bench) -> None:
    bench.emulator.faults({"kind": "raise_price", "factor": 50, "path": "/services/mr", "times": 1})
    state = bench.client.jobs.start(spec(requirements=Requirements(max_price_usd=2.0)), bench.key)
    (before,) = state.tried
    assert before.replaced
    result = bench.client.jobs.finish(state)
    assert (result.cost_wei, len(bench.sessions())) == (billed_wei(bench), 2)


def test_of_two_at_once_both_are_on_the_bill(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    envs = bench.client.services.session(state.rental.uuid).info().user_envs or {}
    item = {"id": 0, "node_id": 1003, "disk_size": 10, "image": "ubuntu:24.04", "start_command": "sleep 600"}
    bench.emulator.request("POST", "/services/mr", json=[item | {"envs": dict(envs)}])
    bench.emulator.advance_clock(HOUR_S)
    again = bench.client.jobs.start(spec(), bench.key, earlier=state)
    assert (again.rental.uuid, len(again.tried), bench.running()) == (state.rental.uuid, 1, 1)
    assert bench.client.jobs.finish(again).cost_wei == billed_wei(bench)


def test_a_plain_rental_counts_it_too(bench: Bench) -> None:
    request = MachineRequest(image="ubuntu:24.04", disk_gb=5)
    first = bench.client.rentals.start(request, key=bench.key, requirements=DEAR)
    bench.emulator.advance_clock(HOUR_S)
    limit = (first.price_usd or 0.0) * 0.9
    for _ in range(2):
        # The second one adopts it.
        rental = bench.client.rentals.start(
            request, key=bench.key, requirements=Requirements(max_price_usd=limit), max_cost_usd=50.0
        )
        assert [one.uuid for one in rental.tried] == [first.uuid]
        assert rental.max_cost_usd == pytest.approx(50.0 - (rental.tried[0].spent_usd or 0.0))
    assert rental.stop().total_wei == billed_wei(bench)


def test_when_no_other_machine_fits_nothing_runs(bench: Bench) -> None:
    first = bench.client.jobs.start(spec(), bench.key)
    with pytest.raises(OctaNoMachineError):
        bench.client.jobs.start(spec(requirements=Requirements(max_price_usd=0.0001)), bench.key, earlier=first)
    assert (len(bench.sessions()), bench.running()) == (1, 0)


def test_what_a_session_tells_of_it_is_what_was_written_and_what_an_earlier_release_wrote_is_read() -> None:
    tried = (TriedMachine("u", 5, 10**19, 0.25, 12.5, "", 1.5, replaced=True), TriedMachine("v"))
    told = tried_before(Session.from_payload({"uuid": "w", "user_envs": tried_envs(tried)}))
    assert [replace(one, message="") for one in told] == list(tried)
    for odd in ('[["u",5,0,0,0]]', '[["u",5,0,0,0,0,"yes"]]'):
        assert tried_before(Session.from_payload({"uuid": "w", "user_envs": {"OCTA_TRIED": odd}})) == ()
