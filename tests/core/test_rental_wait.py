"""Waiting until a session can be used: ready, failed, gone, too late."""

from __future__ import annotations

import json

import pytest

from octa_provider.errors import (
    OctaAuthenticationError,
    OctaBudgetError,
    OctaCancelledError,
    OctaSessionFailedError,
    OctaStopError,
    OctaWaitTimeoutError,
)
from octa_provider.models import SessionPhase
from tests.core.rental_bench import EVERYTHING, INFO, LIST, STOP, Bench, bench, emulator

__all__ = ["bench", "emulator"]


def test_a_ready_session_is_returned_with_its_addresses(bench: Bench) -> None:
    rental = bench.ready()
    session = rental.wait_until_ready()
    assert session.phase is SessionPhase.READY
    assert session.ssh_direct is not None
    assert bench.clock.at_s == 0


def test_it_looks_again_until_the_session_is_ready(bench: Bench) -> None:
    rental = bench.ready()
    coming_up = json.dumps({"uuid": rental.uuid, "progress": "pulling image", "is_ready": False})
    bench.emulator.faults({"kind": "garbage", "body": coming_up, "times": 3, **INFO})
    assert rental.wait_until_ready(poll_s=5).uuid == rental.uuid
    assert 3 * 4.5 <= bench.clock.at_s <= 3 * 5.5


def test_too_late_stops_the_session_and_says_how_far_it_came(bench: Bench) -> None:
    bench.emulator.faults({"kind": "never_ready"})
    rental = bench.start()
    with pytest.raises(OctaWaitTimeoutError, match=r"was not ready within 60 s \(last: .+\); it was stopped") as caught:
        rental.wait_until_ready(deadline_s=60)
    assert caught.value.uuid == rental.uuid
    assert bench.running() == []


def test_too_late_and_not_to_be_stopped_says_that_it_may_still_bill(bench: Bench) -> None:
    bench.emulator.faults({"kind": "never_ready"})
    rental = bench.start()
    bench.emulator.faults({"kind": "status", "status": 503, "times": None, **STOP})
    with pytest.raises(OctaStopError, match=rental.uuid):
        rental.wait_until_ready(deadline_s=60)
    assert bench.running() == [rental.uuid]


def test_a_session_that_ended_raises_with_the_reason_and_the_tail_of_its_log(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.end_session(rental.uuid, "node went away")
    with pytest.raises(OctaSessionFailedError, match=r"has ended \(node went away\)") as caught:
        rental.wait_until_ready()
    assert caught.value.uuid == rental.uuid
    assert caught.value.system_log_tail.endswith("session ended: node went away")


def test_a_progress_text_that_says_failed_stops_the_session(bench: Bench) -> None:
    rental = bench.start()
    failed = json.dumps({"uuid": rental.uuid, "progress": "container failed", "is_ready": False})
    bench.emulator.faults({"kind": "garbage", "body": failed, **INFO})
    with pytest.raises(OctaSessionFailedError, match="failed: container failed; it was stopped") as caught:
        rental.wait_until_ready()
    assert caught.value.system_log_tail
    assert bench.running() == []


def test_an_outage_of_minutes_slows_the_wait_down_and_does_not_end_it(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.faults({"kind": "drop_before", **EVERYTHING})
    bench.recover_after(300)
    assert rental.wait_until_ready(deadline_s=900).uuid == rental.uuid
    assert bench.clock.at_s >= 300


def test_a_session_that_is_not_known_yet_is_waited_for(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.faults(
        {"kind": "status", "status": 404, "times": 3, **INFO}, {"kind": "missing_entry", "all": True, "times": 3}
    )
    assert rental.wait_until_ready(poll_s=5).uuid == rental.uuid


def test_a_404_to_info_is_not_believed_while_the_list_shows_the_session(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.faults({"kind": "status", "status": 404, "times": None, **INFO})
    assert rental.wait_until_ready().uuid == rental.uuid


def test_a_session_that_nobody_ever_knew_is_gone_after_twenty_seconds(bench: Bench) -> None:
    rental = bench.client.rentals.open("11111111-2222-4333-8444-555555555555", bench.key)
    with pytest.raises(OctaSessionFailedError, match="has ended"):
        rental.wait_until_ready()
    assert 20 <= bench.clock.at_s < 30


def test_a_refused_key_ends_the_wait_at_once(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.faults({"kind": "status", "status": 401, **INFO})
    with pytest.raises(OctaAuthenticationError):
        rental.wait_until_ready()


def test_cancelling_the_wait_stops_the_session(bench: Bench) -> None:
    rental = bench.start()
    with pytest.raises(OctaCancelledError, match="it was stopped"):
        rental.wait_until_ready(is_cancelled=lambda: True)
    assert bench.running() == []


def test_a_session_that_reached_its_cost_is_stopped(bench: Bench) -> None:
    rental = bench.ready(max_cost_usd=0.5)
    bench.emulator.advance_clock(3600 * 24)
    with pytest.raises(OctaBudgetError, match=r"has cost \d+\.\d{4} USD of at most 0.5; it was stopped"):
        rental.wait_until_ready()
    assert bench.running() == []


def test_a_session_that_reached_its_time_is_stopped(bench: Bench) -> None:
    rental = bench.ready(max_duration_s=600)
    bench.emulator.advance_clock(601)
    with pytest.raises(OctaBudgetError, match=r"has run 601 s of at most 600; it was stopped"):
        rental.wait_until_ready()
    assert bench.running() == []


def test_the_caps_travel_with_the_rental(bench: Bench) -> None:
    state = bench.ready(max_duration_s=600).to_dict()
    bench.emulator.advance_clock(601)
    with pytest.raises(OctaBudgetError):
        bench.client.rentals.restore(state).wait_until_ready()


def test_a_twin_that_shows_up_while_the_session_comes_up_is_stopped(bench: Bench) -> None:
    rental = bench.ready()
    bench.rent_elsewhere()
    rental.wait_until_ready()
    assert bench.running() == [rental.uuid]


def test_an_older_twin_is_left_to_its_holder(bench: Bench) -> None:
    older = bench.rent_elsewhere()
    ours = bench.rent_elsewhere()
    rental = bench.client.rentals.open(ours, bench.key)
    bench.wait_for(lambda: bench.session(ours)["system"][-1] == "service configured")
    rental.wait_until_ready()
    assert bench.running() == [older, ours]


def test_that_twins_cannot_be_seen_does_not_lose_a_ready_session(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.faults({"kind": "status", "status": 503, "times": None, **LIST})
    assert rental.wait_until_ready().uuid == rental.uuid


def test_a_twin_that_cannot_be_stopped_now_is_left_to_the_stop(bench: Bench) -> None:
    rental = bench.ready()
    bench.rent_elsewhere()
    bench.emulator.faults({"kind": "status", "status": 503, "times": None, **STOP})
    assert rental.wait_until_ready().uuid == rental.uuid
    bench.emulator.clear_faults()
    rental.stop()
    assert bench.running() == []


def test_a_session_that_was_opened_without_its_key_looks_for_no_twins(bench: Bench) -> None:
    uuid = bench.ready().uuid
    bench.client.rentals.open(uuid).wait_until_ready()
    assert bench.requests()[-1] == "GET /services/{uuid}/info"


def test_a_session_that_ended_and_still_has_its_page_is_gone(bench: Bench) -> None:
    rental = bench.ready()
    ended = json.dumps({"uuid": rental.uuid, "finished_at": 1767225600000})
    bench.emulator.faults({"kind": "garbage", "body": ended, **INFO})
    with pytest.raises(OctaSessionFailedError, match="has ended"):
        rental.wait_until_ready()


def test_why_a_session_ended_may_stay_unknown(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.end_session(rental.uuid, "node went away")
    bench.emulator.faults(
        {"kind": "garbage", "body": json.dumps({"uuid": rental.uuid, "finished_at": 1767225600000}), **INFO},
        {"kind": "status", "status": 503, "times": None, "path": "^/services/[^/]+/logs$"},
        {"kind": "status", "status": 503, "times": None, **LIST},
    )
    with pytest.raises(OctaSessionFailedError, match=r"has ended$"):
        rental.wait_until_ready()
