"""Stopping for certain: stopped means seen stopped, through every outage, and the whole key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from odd_server import OddServer, answer

from octa_provider import OctaClient
from octa_provider.errors import OctaApiError, OctaAuthenticationError, OctaStopError
from octa_provider.rental.stop import may_bill_text
from tests.core.rental_bench import EVERYTHING, INFO, LIST, STOP, Bench, bench, emulator

__all__ = ["bench", "emulator"]


def test_a_stop_returns_the_bill_exact_to_the_wei(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.advance_clock(5000)
    bill = rental.stop()
    session = bench.session(rental.uuid)
    assert (bill.uuid, bill.charge_wei) == (rental.uuid, session["charge_wei"])
    assert bill.duration_s == session["billed_ms"] // 1000
    assert bill.termination_reason is not None
    assert rental.price_usd is not None
    assert bill.charge_usd == pytest.approx(rental.price_usd * session["billed_ms"] / 3_600_000, rel=1e-6)
    assert set(bill.to_dict()) == {"uuid", "charge_wei", "charge_usd", "duration_s", "termination_reason"}


def test_a_score_goes_with_the_stop(bench: Bench) -> None:
    rental = bench.start()
    rental.stop(4)
    assert bench.session(rental.uuid)["score"] == 4


def test_stopping_again_is_harmless_and_gives_the_same_bill(bench: Bench) -> None:
    rental = bench.start()
    assert rental.stop() == rental.stop() == rental.stop()


def test_a_stop_that_says_yes_and_does_nothing_is_asked_again(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults({"kind": "status", "status": 200, "body": {"status": "ok"}, "times": 2, **STOP})
    rental.stop()
    assert bench.requests().count("POST /services/{uuid}/stop") == 3
    assert bench.running() == []


def test_a_404_to_stop_proves_nothing(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults({"kind": "status", "status": 404, "times": 2, **STOP})
    rental.stop()
    assert bench.running() == []


def test_a_list_that_lacks_the_session_is_not_believed(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults(
        {"kind": "status", "status": 200, "body": {"status": "ok"}, **STOP},
        {"kind": "missing_entry", "all": True, "times": 2},
    )
    rental.stop()
    assert bench.running() == []


def test_an_odd_record_that_may_be_the_session_is_not_taken_for_gone(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults(
        {"kind": "status", "status": 200, "body": {"status": "ok"}, **STOP},
        {"kind": "garbage", "body": f'["{rental.uuid}"]', **LIST},
    )
    rental.stop()
    assert bench.running() == []


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "drop_before"}, {"kind": "garbage"}])
def test_an_outage_of_minutes_only_delays_the_stop(bench: Bench, fault: dict[str, object]) -> None:
    rental = bench.start()
    bench.emulator.faults({**EVERYTHING, **fault})
    bench.recover_after(200)
    rental.stop(deadline_s=300)
    assert bench.running() == []


def test_an_outage_beyond_the_deadline_names_what_may_still_bill(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults({"kind": "status", "status": 503, **EVERYTHING})
    with pytest.raises(OctaStopError, match=rf"still billing: {rental.uuid}.*octa-provider reap") as caught:
        rental.stop(deadline_s=120)
    assert caught.value.uuids == (rental.uuid,)
    assert 120 <= bench.clock.at_s < 150
    bench.emulator.clear_faults()
    rental.stop()
    assert bench.running() == []


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("what", [STOP, LIST], ids=["stop", "list"])
def test_a_key_that_is_refused_for_a_moment_leaves_nothing_running(
    bench: Bench, what: dict[str, Any], status: int
) -> None:
    """As by a gateway that is being restarted: whoever gave up at once would leave a machine to nobody."""
    rental = bench.start()
    bench.emulator.faults({"kind": "status", "status": status, "times": 3, **what})
    assert rental.stop().uuid == rental.uuid
    assert bench.running() == []


def test_a_gateway_that_slips_again_minutes_later_has_slipped_for_a_moment_too(bench: Bench) -> None:
    rental = bench.start()
    slip = {"kind": "status", "status": 403, "times": 1}
    bench.emulator.faults({"kind": "status", "status": 200, "body": {"status": "ok"}, "times": 30, **STOP})
    bench.emulator.faults({**slip, **LIST}, {**slip, **LIST, "after": 24})
    # 24 rounds take more than the minute for which the first slip was forgiven.
    rental.stop(deadline_s=3000)
    assert bench.clock.at_s > 90
    assert bench.running() == []


def test_a_key_that_stays_refused_ends_the_stop_before_anybody_kills(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults({"kind": "status", "status": 401, **EVERYTHING})
    with pytest.raises(OctaAuthenticationError, match="still billing"):
        rental.stop()
    assert 15 <= bench.clock.at_s < 30
    bench.emulator.clear_faults()


def test_a_key_that_was_never_accepted_ends_the_stop_at_once(bench: Bench) -> None:
    rental = bench.start()
    wrong = OctaClient("k" * 32, base_url=bench.emulator.base_url, clock=bench.clock)
    with wrong, pytest.raises(OctaAuthenticationError):
        wrong.rentals.open(rental.uuid).stop()
    assert bench.clock.at_s == 0


def test_stopping_a_rental_stops_every_session_of_its_key(bench: Bench) -> None:
    rental = bench.start()
    for _ in range(3):
        bench.rent_elsewhere()
    rental.stop()
    assert len(bench.sessions()) == 4
    assert bench.running() == []


def test_a_mate_that_appears_while_the_stop_is_under_way_is_stopped_too(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults({"kind": "status", "status": 503, **STOP})
    bench.clock.later(0.1, bench.rent_elsewhere)
    rental.stop()
    assert len(bench.sessions()) == 2
    assert bench.running() == []


def test_a_session_that_the_platform_ended_is_seen_gone_with_its_bill(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.end_session(rental.uuid, "node went away")
    bill = rental.stop()
    assert bill.termination_reason == "node went away"
    assert bill.charge_wei == bench.session(rental.uuid)["charge_wei"]


def test_a_session_that_the_api_has_forgotten_is_gone_with_an_unknown_bill(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.end_session(rental.uuid)
    bench.emulator.faults(
        {"kind": "missing_entry", "all": True, "times": None}, {"kind": "status", "status": 404, "times": None, **INFO}
    )
    bill = rental.stop()
    assert (bill.charge_wei, bill.charge_usd, bill.duration_s) == (None, None, None)


def test_a_session_that_no_list_shows_is_gone_when_its_own_page_says_so(bench: Bench) -> None:
    rental = bench.start()
    ended = json.dumps({"uuid": rental.uuid, "finished_at": 1767225600000, "charge_amount": "31428028938060847852"})
    bench.emulator.end_session(rental.uuid)
    bench.emulator.faults(
        {"kind": "missing_entry", "all": True, "times": None}, {"kind": "garbage", "body": ended, "times": None, **INFO}
    )
    assert rental.stop().charge_wei == 31428028938060847852


def test_a_stop_by_key_bills_every_session_that_it_ended(bench: Bench) -> None:
    uuids = {bench.rent_elsewhere(), bench.rent_elsewhere()}
    bench.emulator.advance_clock(100)
    bills = bench.client.rentals.stop(bench.key)
    assert {bill.uuid for bill in bills} == uuids
    assert {bill.uuid: bill.charge_wei for bill in bills} == {uuid: bench.session(uuid)["charge_wei"] for uuid in uuids}


def test_a_stop_by_key_without_a_session_is_fine(bench: Bench) -> None:
    assert bench.client.rentals.stop(bench.key) == ()


@pytest.mark.parametrize("status", [401, 403])
def test_a_stop_that_the_api_refuses_for_good_still_names_what_may_bill(bench: Bench, status: int) -> None:
    rental = bench.ready()
    bench.emulator.faults({"kind": "status", "status": status, **EVERYTHING})
    with pytest.raises(OctaApiError, match=rf"still billing: {rental.uuid}\. Run: octa-provider stop {rental.uuid}"):
        rental.stop()
    bench.emulator.clear_faults()


def test_what_could_not_be_stopped_is_told_with_the_command_to_paste() -> None:
    assert may_bill_text("u1") == "Session u1 may still run and bill. Stop it: octa-provider stop u1"
    assert may_bill_text("u1; reboot").endswith("Stop it: octa-provider stop 'u1; reboot'")


def test_a_record_whose_uuid_can_be_none_keeps_no_other_session_running(
    serve: Callable[..., OddServer], connect: Callable[..., OctaClient], caplog: pytest.LogCaptureFixture
) -> None:
    key = "render/shot"
    listed = [
        {"uuid": uuid, "service": "mr", "node_id": 7, "user_envs": {"OCTA_RENTAL_KEY": key}}
        for uuid in ("../../accounts", "b5a4c1d2-good")
    ]
    server = serve(
        answer(body=listed),
        answer(body=listed),
        answer(body={}),
        *[answer(body=[])] * 2,
        answer(404, {}),
    )
    connect(server).rentals.stop(key)
    asked = [(request.method, request.path.partition("?")[0]) for request in server.received]
    assert ("POST", "/services/b5a4c1d2-good/stop") in asked
    assert not [path for _, path in asked if "accounts" in path]
    assert "../../accounts" in caplog.text
