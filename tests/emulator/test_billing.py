"""Money: exact to the wei, and what happens when there is none left."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenancy import eventually

from octa_provider.emulator.platform.billing import MS_PER_HOUR, BillingClock, charge_wei


@given(price=st.integers(0, 10**24), parts=st.lists(st.integers(0, 10**9), max_size=5))
def test_a_charge_is_exact_and_never_above_the_price(price, parts):
    whole = charge_wei(price, sum(parts))
    assert whole * MS_PER_HOUR <= price * sum(parts) < (whole + 1) * MS_PER_HOUR
    assert sum(charge_wei(price, part) for part in parts) <= whole


def test_the_clock_runs_as_fast_as_it_is_told():
    wall = [0]
    clock = BillingClock(60, lambda: wall[0])
    wall[0] += 1_000_000_000
    assert clock.now_ms() == 60_000
    clock.advance(1.5)
    assert clock.now_ms() == 61_500


def test_a_resumed_clock_counts_the_time_between():
    wall = [0]
    first = BillingClock(60, lambda: wall[0])
    first.advance(10)
    wall[0] += 1_000_000_000
    second = BillingClock(1, lambda: wall[0])
    second.resume(first.snapshot())
    assert second.now_ms() == first.now_ms() == 70_000
    wall[0] += 1_000_000_000
    assert second.now_ms() == 71_000


def test_a_session_costs_its_nodes_price(tenant):
    uuid = tenant.ready()
    tenant.emulator.advance_clock(3600)
    info = tenant.info(uuid)
    assert int(info["duration"]) == 3600
    price = tenant.entry(uuid)["price_wei"]
    assert price == tenant.get("/services/mr")[0]["total_price_wei"]
    assert price <= int(info["charge_amount"]) < price * 1.01


def test_an_advanced_clock_makes_sessions_older_but_does_not_move_the_ledger(hire):
    tenant = hire(quirks=False)
    uuid = tenant.ready()
    before = tenant.info(uuid)["started_at"]
    tenant.emulator.advance_clock(7200)
    assert before - tenant.info(uuid)["started_at"] == 7_200_000
    assert tenant.entry(uuid)["started_ms"] == before
    stopped_after_ms = int(time.time() * 1000)
    tenant.stop(uuid)
    record = tenant.get("/sessions?recent=true")[0]
    assert stopped_after_ms <= record["finished_at"] <= time.time() * 1000
    assert record["finished_at"] - record["started_at"] >= 7_200_000


def test_the_bill_is_frozen_when_it_stops_and_adds_up_to_the_wei(hire):
    tenant = hire(speed=5000, room=5)
    uuids = [tenant.start(node_id=1001 + index % 3) for index in range(6)]
    time.sleep(0.05)
    for uuid in uuids:
        tenant.stop(uuid)
    first, second = tenant.emulator.ledger(), tenant.emulator.ledger()
    assert first["billed_wei"] == second["billed_wei"] > 0
    assert sum(session["charge_wei"] for session in first["sessions"]) == first["billed_wei"]
    assert first["balance_wei"] == first["initial_balance_wei"] - first["billed_wei"]
    assert int(tenant.get("/accounts")["balance"]) == first["balance_wei"]
    shown = {record["uuid"]: int(record["charge_amount"]) for record in tenant.get("/sessions?recent=true")}
    assert shown == {session["uuid"]: session["charge_wei"] for session in first["sessions"]}


def test_an_empty_balance_refuses_every_start(hire):
    tenant = hire(balance_octa=0)
    for service, body in (("mr", tenant.order()), ("render", {"node_id": 1001, "disk_size": 1})):
        answer = tenant.call("POST", f"/services/{service}", body)
        assert answer.status_code == 402
        assert "balance" in answer.json()["message"].lower()
    assert tenant.emulator.ledger()["sessions"] == []


@pytest.mark.parametrize("advance_s", [10_000, 100_000])
def test_running_sessions_end_when_the_balance_is_used_up_and_no_later(hire, advance_s):
    tenant = hire(balance_octa=30, quirks=False)
    uuids = [tenant.ready("sleep 1000") for _ in range(2)]
    tenant.emulator.advance_clock(advance_s)
    assert tenant.listed() == []
    ledger = tenant.emulator.ledger()
    assert 0 <= ledger["balance_wei"] < 10**17
    for uuid in uuids:
        entry = tenant.entry(uuid)
        assert (entry["stopped_by"], entry["termination_reason"]) == ("platform", "insufficient_funds")
        assert "the balance is empty" in tenant.system(uuid)


def test_a_balance_runs_out_by_itself(hire):
    tenant = hire(balance_octa=0.5, speed=3600)
    tenant.start()
    eventually(lambda: tenant.listed() == [])
    assert 0 <= tenant.emulator.ledger()["balance_wei"] < 10**17


@pytest.mark.parametrize(
    "body", [None, {}, {"advance_s": -1}, {"advance_s": "1"}, {"advance_s": True}, {"advance_s": 1e12}]
)
def test_an_impossible_advance_is_refused(tenant, body):
    assert tenant.call("POST", "/_emulator/clock", body).status_code == 422


def test_the_platform_can_end_a_session_for_any_reason(tenant):
    first, second, third = (tenant.start("sleep 1000", node_id=1003) for _ in range(3))
    tenant.emulator.end_session(first, "hardware failure")
    tenant.emulator.end_session(second, 137)
    tenant.call("POST", f"/_emulator/sessions/{third}/end")
    fourth = tenant.start("sleep 1000", node_id=1003)
    tenant.emulator.end_session(fourth, 1)
    reasons = {record["uuid"]: record["termination_reason"] for record in tenant.get("/sessions?recent=true")}
    assert reasons.pop(third) in (2, "2")
    assert reasons == {first: "hardware failure", second: 137, fourth: 1}
    words = {uuid: tenant.entry(uuid)["termination_reason"] for uuid in (first, second, third)}
    assert words == {first: "hardware failure", second: 137, third: "ended by the platform"}
    assert "session ended: hardware failure" in tenant.system(first)
    assert tenant.entry(first)["stopped_by"] == "platform"
    with pytest.raises(ValueError, match="404"):
        tenant.emulator.end_session("nobody")
    assert tenant.call("POST", f"/_emulator/sessions/{third}/end", {"reason": None}).status_code == 422
