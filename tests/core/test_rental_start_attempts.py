"""Another machine for a plain rental when one never comes up: never two at once, none twice, each on the bill."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from job_bench import Bench, LeapingClock, emulator, in_fork

from octa_provider import MachineRequest, OctaClient, OctaConfigError, RenderRequest, Requirements, VpnRequest
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.errors import (
    OctaBudgetError,
    OctaCancelledError,
    OctaSessionFailedError,
    OctaStopError,
    OctaWaitTimeoutError,
)
from octa_provider.rental.json_values import rental_json
from octa_provider.rental.rental import Rental
from octa_provider.rental.terms import Bill
from octa_provider.wire.session_envs import TRIED_ENV

__all__ = ["emulator"]

NEVER_READY = {"kind": "never_ready", "times": 1}
NEVER_AT_ALL = {"kind": "never_ready", "times": None}
REQUEST = MachineRequest("ubuntu:24.04", start_command="sleep 600", disk_gb=5)


@pytest.fixture
def bench(emulator: EmulatorHandle, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Whoever sleeps is woken at once: no machine that never comes up is waited for."""
    emulator.clear_faults()
    bench = Bench(emulator, f"plain-attempts/{request.node.name}", LeapingClock())
    yield bench
    bench.stop()


def asked(bench: Bench, **changes: Any) -> dict[str, Any]:
    """The arguments of `rent`, and of `start_ready`."""
    given: dict[str, Any] = {"key": bench.key, "ready_timeout_s": 100, "start_attempts": 2, "poll_s": 1}
    return given | changes


def one_by_one(bench: Bench) -> list[int]:
    """The nodes, in order; each session ended before the next began, and none runs."""
    sessions = sorted(bench.sessions(), key=lambda session: session["started_ms"])
    assert bench.emulator.ledger(requests=False)["max_running_by_key"][bench.key]["max_running"] == 1
    assert bench.running() == 0
    return [session["node_id"] for session in sessions]


def billed_wei(bench: Bench) -> int:
    return sum(session["charge_wei"] for session in bench.sessions())


def test_a_block_has_another_machine_when_the_first_never_comes_up(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    bills: list[Bill] = []
    up: list[tuple[Rental, Any]] = []
    ready = up.append
    with bench.client.rentals.rent(
        REQUEST, **asked(bench), on_stopped=bills.append, on_ready=lambda *told: ready(told)
    ) as rental:
        assert bench.running() == 1
        assert up == [(rental, up[0][1])]
        assert up[0][1].uuid == rental.uuid
        (first,) = rental.tried
        assert "was not ready within 100 s" in first.message
    nodes = one_by_one(bench)
    assert nodes == [first.node_id, rental.node_id]
    assert len(set(nodes)) == 2
    assert [bill.uuid for bill in bills] == [first.uuid, rental.uuid]
    assert (bills[0].tried, [one.uuid for one in bills[1].tried]) == ((), [first.uuid])
    assert sum(bill.charge_wei or 0 for bill in bills) == bills[1].total_wei == billed_wei(bench)
    assert bills[1].total_usd == pytest.approx(sum(bill.charge_usd or 0.0 for bill in bills))
    assert bills[0].total_wei == bills[0].charge_wei
    assert [set(bill.to_dict()) - {"tried"} for bill in bills] == [set(bills[0].to_dict())] * 2
    assert json.loads(json.dumps(bills[1].to_dict()))["tried"][0]["uuid"] == first.uuid


def test_what_is_started_until_it_is_up_is_the_callers_and_travels_with_what_was_before_it(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    rental, session = bench.client.rentals.start_ready(REQUEST, **asked(bench))
    assert (session.uuid, bench.running()) == (rental.uuid, 1)
    for told in (rental.to_dict(), rental_json(rental)):
        again = bench.client.rentals.restore(json.loads(json.dumps(told)))
        assert (again, again.tried) == (rental, rental.tried)
    assert rental_json(rental)["tried"][0]["cost_wei"] == str(rental.tried[0].cost_wei)
    bill = again.stop()
    assert bill.total_wei == billed_wei(bench)
    assert len(set(one_by_one(bench))) == 2


def test_a_machine_of_the_render_service_is_tried_elsewhere_too(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    rental, _ = bench.client.rentals.start_ready(RenderRequest(disk_gb=5), **asked(bench))
    assert len(rental.tried) == 1
    rental.stop()
    assert len(set(one_by_one(bench))) == 2


def test_when_none_comes_up_so_many_are_tried_and_no_more_and_each_is_told(bench: Bench) -> None:
    bench.emulator.faults(NEVER_AT_ALL)
    bills: list[Bill] = []
    with (
        pytest.raises(OctaWaitTimeoutError),
        bench.client.rentals.rent(REQUEST, **asked(bench, start_attempts=3), on_stopped=bills.append),
    ):
        raise AssertionError("the block must not run")
    nodes = one_by_one(bench)
    assert (len(nodes), len(set(nodes)), len(bills)) == (3, 3, 3)
    assert bills[-1].total_wei is not None
    assert sum(bill.charge_wei or 0 for bill in bills) == billed_wei(bench)


def test_without_being_asked_for_no_other_machine_is_tried(bench: Bench) -> None:
    bench.emulator.faults(NEVER_AT_ALL)
    bills: list[Bill] = []
    with (
        pytest.raises(OctaWaitTimeoutError),
        bench.client.rentals.rent(REQUEST, **asked(bench, start_attempts=1), on_stopped=bills.append),
    ):
        raise AssertionError("the block must not run")
    assert (len(one_by_one(bench)), len(bills)) == (1, 1)


def test_a_machine_that_says_that_it_failed_is_left_for_another(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    failed: list[str] = []

    def says_so(rental: Rental) -> None:
        if not failed:
            failed.append(rental.uuid)
            info = {"uuid": rental.uuid, "progress": "error: no space left", "is_ready": False}
            bench.emulator.faults({"kind": "status", "status": 200, "path": "/services/*/info", "body": info})

    rental, _ = bench.client.rentals.start_ready(REQUEST, **asked(bench), on_started=says_so)
    assert [one.uuid for one in rental.tried] == failed
    assert "error: no space left" in rental.tried[0].message
    rental.stop()
    assert len(set(one_by_one(bench))) == 2


def test_a_session_that_goes_by_itself_or_is_stopped_by_somebody_is_begun_nowhere_else(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    with pytest.raises(OctaSessionFailedError, match="has ended"):
        bench.client.rentals.start_ready(
            REQUEST, **asked(bench), on_started=lambda told: bench.emulator.end_session(told.uuid)
        )
    assert len(one_by_one(bench)) == 1


def test_when_no_other_machine_fits_the_error_tells_both(bench: Bench) -> None:
    offered = [machine.node_id for machine in bench.client.services.mr.available()]
    only = Requirements(exclude_nodes=tuple(node for node in offered[1:] if node is not None))
    bench.emulator.faults(NEVER_READY)
    with pytest.raises(OctaWaitTimeoutError, match=r"not ready within 100 s.*No other machine: no machine fits"):
        bench.client.rentals.start_ready(REQUEST, **asked(bench, requirements=only, wait_for_machine_s=10**6))
    assert len(one_by_one(bench)) == 1


def test_what_the_machine_before_has_cost_is_taken_off_the_cap(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    spends = iter([1800])

    def pass_time(rental: Rental) -> None:
        bench.emulator.advance_clock(next(spends, 0))

    rental, _ = bench.client.rentals.start_ready(REQUEST, **asked(bench, max_cost_usd=5.0), on_started=pass_time)
    spent = rental.tried[0].cost_usd
    assert spent is not None
    assert spent > 0
    assert rental.max_cost_usd == pytest.approx(5.0 - spent)
    # Whoever comes later adopts it, and knows; also who asks for no other machine.
    asks_again: list[Callable[[], Rental]] = [
        lambda: bench.client.rentals.start_ready(REQUEST, **asked(bench, max_cost_usd=5.0))[0],
        lambda: bench.client.rentals.start(REQUEST, key=bench.key, max_cost_usd=5.0),
    ]
    for ask in asks_again:
        again = ask()
        assert (again.uuid, again.adopted, again.max_cost_usd) == (rental.uuid, True, rental.max_cost_usd)
        assert [(one.uuid, one.cost_wei) for one in again.tried] == [(rental.tried[0].uuid, rental.tried[0].cost_wei)]
    assert again.stop().total_wei == billed_wei(bench)


def test_when_nothing_is_left_of_the_cap_nothing_is_started(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)

    def pass_time(context: Any) -> None:
        # It costs that much while it is stopped: no look has seen it.
        if context.url.endswith("/stop"):
            bench.emulator.advance_clock(10 * 3600)

    octa = OctaClient(
        bench.emulator.api_key, base_url=bench.emulator.base_url, clock=bench.clock, retries=0, on_request=pass_time
    )
    nothing_left = (
        r"nothing is left of max_cost_usd=0\.2 for another machine\. The machine before: session .* not ready"
    )
    with pytest.raises(OctaBudgetError, match=nothing_left):
        octa.rentals.start_ready(REQUEST, **asked(bench, max_cost_usd=0.2))
    assert len(one_by_one(bench)) == 1


def test_a_machine_that_cannot_be_stopped_keeps_another_from_being_started(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    bench.emulator.faults(
        {"kind": "status", "status": 500, "method": "POST", "path": "/services/*/stop", "times": None}
    )
    with pytest.raises(OctaStopError):
        bench.client.rentals.start_ready(REQUEST, **asked(bench))
    assert len(bench.sessions()) == 1


def test_two_tries_that_give_up_the_same_machine_have_one_other_together(bench: Bench) -> None:
    """The one's worker was only taken for dead: its wait ends when the other has started another one."""
    bench.emulator.faults(NEVER_READY)
    others: list[Rental] = []

    def meanwhile(bill: Bill) -> None:
        if not others:
            others.append(bench.connect().rentals.start(REQUEST, key=bench.key))

    rental, _ = bench.client.rentals.start_ready(REQUEST, **asked(bench), on_stopped=meanwhile)
    assert (rental.uuid, rental.adopted, bench.running()) == (others[0].uuid, True, 1)
    assert len(rental.tried) == 1


def started_beside(bench: Bench, told: Rental) -> str:
    """A session that another try has started in the place of one. Returns its uuid."""
    envs = bench.client.services.session(told.uuid).info().user_envs or {}
    item = {"id": 0, "node_id": 1003, "disk_size": 5, "image": "ubuntu:24.04", "start_command": "sleep 600"}
    item["envs"] = dict(envs) | {"OCTA_REPLACES": told.uuid}
    answer = bench.emulator.request("POST", "/services/mr", json=[item]).json()
    return str((answer[0] if isinstance(answer, list) else answer)["uuid"])


def running(bench: Bench) -> list[str]:
    return [session["uuid"] for session in bench.sessions() if session["stopped_ms"] is None]


def test_who_gives_up_leaves_what_another_has_started_in_the_same_ones_place(bench: Bench) -> None:
    bench.emulator.faults(NEVER_AT_ALL)
    rental = bench.client.rentals.start(REQUEST, key=bench.key)
    beside = started_beside(bench, rental)
    with pytest.raises(OctaWaitTimeoutError):
        rental.wait_until_ready(30, 1)
    assert running(bench) == [beside]


def test_who_sees_its_session_go_leaves_what_another_has_started_in_its_place(bench: Bench) -> None:
    bench.emulator.faults(NEVER_AT_ALL)
    beside: list[str] = []

    def quicker(told: Rental) -> None:
        beside.append(started_beside(bench, told))
        bench.emulator.end_session(told.uuid)

    asked_once = is_called_late(quicker)
    with pytest.raises(OctaSessionFailedError, match="has ended"):
        bench.client.rentals.start_ready(REQUEST, **asked(bench), **asked_once)
    assert running(bench) == beside


def is_called_late(act: Callable[[Rental], object]) -> dict[str, Any]:
    """Arguments by which something happens while the first session is waited for: its start is over then."""
    rentals: list[Rental] = []
    waits = iter(range(10))

    def is_cancelled() -> bool:
        if rentals and next(waits, 0) == 8:
            act(rentals.pop())
        return False

    return {"on_started": rentals.append, "is_cancelled": is_cancelled}


@pytest.mark.parametrize("lists", [2, 3])
def test_a_machine_that_shows_again_after_its_stop_is_stopped_again_and_not_taken_for_the_other(
    bench: Bench, lists: int
) -> None:
    bench.emulator.faults(NEVER_READY)

    def lie(context: Any) -> None:
        # A stop that did nothing, and everything that tells says the contrary.
        if context.url.endswith("/stop") and not lied:
            lied.append(context.url)
            bench.emulator.faults(
                {"kind": "status", "status": 404, "method": "POST", "path": "/services/*/stop"},
                {"kind": "missing_entry", "all": True, "times": lists},
                {"kind": "status", "status": 404, "method": "GET", "path": "/services/*/info"},
            )

    lied: list[str] = []
    octa = OctaClient(
        bench.emulator.api_key, base_url=bench.emulator.base_url, clock=bench.clock, retries=0, on_request=lie
    )
    rental, _ = octa.rentals.start_ready(REQUEST, **asked(bench))
    (first,) = rental.tried
    assert first.uuid in lied[0]
    assert (rental.uuid != first.uuid, rental.adopted, bench.running()) == (True, False, 1)
    # Its whole time is on the bill.
    assert rental.stop().total_wei == billed_wei(bench)


def test_a_charge_that_comes_late_is_on_the_last_bill(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    rental, _ = bench.client.rentals.start_ready(REQUEST, **asked(bench))
    nothing_yet = replace(rental.tried[0], cost_wei=0, cost_usd=0.0)
    bill = msgspec.structs.replace(rental, tried=(nothing_yet,)).stop()
    assert bill.tried[0].cost_wei == rental.tried[0].cost_wei
    assert bill.total_wei == billed_wei(bench)


def test_a_machine_that_is_seen_gone_is_told_once_when_a_signal_comes_before_the_next(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)

    def interrupt() -> None:
        raise KeyboardInterrupt

    bills: list[Bill] = []
    with pytest.raises(KeyboardInterrupt):
        client_at(bench, Moment(4, interrupt)).rentals.start_ready(REQUEST, **asked(bench), on_stopped=bills.append)
    assert [bill.uuid for bill in bills] == [session["uuid"] for session in bench.sessions()]
    assert len(one_by_one(bench)) == 1


class Moment:
    """The N-th step that changes something: before each POST, and after its answer."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self.left = number
        self.act = act

    def __call__(self, context: Any) -> None:
        if context.method == "POST":
            self.left -= 1
            if self.left == -1:
                self.act()


#: Before and after: the start, the stop of what never came up, the other start.
MOMENTS = range(6)


def client_at(bench: Bench, moment: Moment) -> OctaClient:
    return OctaClient(
        bench.emulator.api_key,
        base_url=bench.emulator.base_url,
        clock=LeapingClock(),
        retries=0,
        on_request=moment,
        on_response=moment,
    )


@pytest.mark.parametrize("number", MOMENTS)
def test_who_is_killed_at_any_moment_leaves_what_the_next_try_takes_up(bench: Bench, number: int) -> None:
    bench.emulator.faults(NEVER_READY)

    def killed() -> None:
        moment = Moment(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        client_at(bench, moment).rentals.start_ready(REQUEST, **asked(bench, max_cost_usd=5.0))

    assert in_fork(killed) == -signal.SIGKILL
    before = bench.sessions()
    bills: list[Bill] = []
    with bench.client.rentals.rent(REQUEST, **asked(bench, max_cost_usd=5.0), on_stopped=bills.append) as rental:
        assert bench.running() == 1
        if number == MOMENTS[-1]:
            # Only the session itself tells what was before it.
            assert (rental.adopted, [one.uuid for one in rental.tried]) == (True, [before[0]["uuid"]])
            assert rental.max_cost_usd == pytest.approx(5.0 - (rental.tried[0].spent_usd or 0.0))
    assert len(one_by_one(bench)) == 2
    if number not in {3, 4}:
        # Between the stop of the first and the start of the other nobody knows of the first.
        assert bills[-1].total_wei == billed_wei(bench)


@pytest.mark.parametrize("number", MOMENTS)
@pytest.mark.parametrize("how", ["cancelled", "terminated"])
def test_who_is_ended_at_any_moment_leaves_nothing(bench: Bench, number: int, how: str) -> None:
    bench.emulator.faults(NEVER_READY)
    is_cancelled: list[bool] = []

    def act() -> None:
        if how == "cancelled":
            is_cancelled.append(True)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def ended() -> None:
        octa = client_at(bench, Moment(number, act))
        try:
            octa.rentals.start_ready(REQUEST, **asked(bench), is_cancelled=lambda: bool(is_cancelled))
        except OctaCancelledError:
            raise SystemExit(7) from None

    assert in_fork(ended) == (7 if how == "cancelled" else 128 + signal.SIGTERM)
    assert bench.running() == 0
    # Of nothing asked for there is nothing on the ledger.
    assert len(one_by_one(bench) if bench.sessions() else []) <= (1 if number < 4 else 2)


@dataclass(frozen=True)
class Wrong:
    """What can't be asked for, and the sentence that says so."""

    changes: dict[str, Any]
    sentence: str
    request: Any = REQUEST


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            Wrong({"start_attempts": odd}, "start_attempts must be a whole number from 1 to 10")
            for odd in (0, 11, True, "2")
        ),
        Wrong({"requirements": Requirements(node_id=5)}, "start_attempts=2 tries other machines, and node_id=5"),
        Wrong({"ready_timeout_s": None}, "give ready_timeout_s, the seconds that each may take"),
        Wrong({"ready_timeout_s": float("nan")}, "ready_timeout_s"),
        Wrong({"poll_s": -1}, "poll_s"),
        Wrong({}, "a vpn session has none", VpnRequest("wg")),
        Wrong({}, f"envs must not set {TRIED_ENV}", MachineRequest("ubuntu:24.04", envs={TRIED_ENV: "[]"})),
        Wrong({"max_cost_usd": -1.0}, "max_cost_usd"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_is_rented(bench: Bench, wrong: Wrong) -> None:
    with pytest.raises(OctaConfigError, match=wrong.sentence):
        bench.client.rentals.rent(wrong.request, **asked(bench, **wrong.changes)).__enter__()
    assert bench.sessions() == []
