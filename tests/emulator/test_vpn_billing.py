"""A VPN is billed by the GB, as its catalogue offers it; everything else by the hour. Exact to the wei."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenancy import eventually

from octa_provider.emulator.platform.billing import BYTES_PER_GB, traffic_wei

GB = 10**9


def vpn(tenant, node_id=1001):
    uuid = tenant.call("POST", "/services/vpn", {"node_id": node_id}).json()["uuid"]
    eventually(lambda: tenant.is_ready(uuid))
    return uuid


@given(price=st.integers(0, 10**24), parts=st.lists(st.integers(0, 10**15), max_size=5))
def test_a_traffic_charge_is_exact_and_never_above_the_price(price, parts):
    whole = traffic_wei(price, sum(parts))
    assert whole * BYTES_PER_GB <= price * sum(parts) < (whole + 1) * BYTES_PER_GB
    assert sum(traffic_wei(price, part) for part in parts) <= whole


def test_a_vpn_costs_what_its_catalogue_says_for_each_gb(hire):
    tenant = hire(speed=0)
    uuid = vpn(tenant)
    offer = tenant.get("/services/vpn")[0]
    tenant.emulator.let_traffic_flow(uuid, tx_bytes=GB, rx_bytes=2 * GB)
    info, entry = tenant.info(uuid), tenant.entry(uuid)
    assert (int(info["tx"]), int(info["rx"])) == (GB, 2 * GB)
    assert int(info["charge_amount"]) == entry["charge_wei"] == 3 * entry["traffic_price_wei"]
    assert entry["traffic_price_wei"] == pytest.approx(offer["traffic_price_ether"] * 10**18, rel=1e-9)
    assert info["prices"]["market_price"] * entry["charge_wei"] / 10**18 == pytest.approx(
        3 * offer["traffic_price_usd"], rel=1e-2
    )
    assert "base_usd" not in info["prices"]


def test_an_idle_vpn_costs_a_trickle_and_not_its_nodes_hour(hire):
    tenant = hire(speed=0)
    uuid = vpn(tenant)
    tenant.emulator.advance_clock(3600)
    entry = tenant.entry(uuid)
    assert entry["price_wei"] == 0
    assert (entry["tx_bytes"], entry["rx_bytes"]) == (3600 * 1200, 3600 * 5100)
    assert entry["charge_wei"] == entry["traffic_price_wei"] * (entry["tx_bytes"] + entry["rx_bytes"]) // GB


def test_the_ledger_adds_up_to_the_wei_with_time_and_traffic_mixed(hire):
    tenant = hire(speed=777, room=5)
    uuids = [vpn(tenant), tenant.ready(node_id=1002), vpn(tenant, 1003)]
    for uuid in uuids:
        tenant.emulator.let_traffic_flow(uuid, tx_bytes=123_456_789, rx_bytes=987)
        tenant.stop(uuid)
    ledger = tenant.emulator.ledger()
    assert sum(session["charge_wei"] for session in ledger["sessions"]) == ledger["billed_wei"] > 0
    assert ledger["balance_wei"] == ledger["initial_balance_wei"] - ledger["billed_wei"]
    shown = {record["uuid"]: int(record["charge_amount"]) for record in tenant.get("/sessions?recent=true")}
    assert shown == {session["uuid"]: session["charge_wei"] for session in ledger["sessions"]}


def test_traffic_that_the_balance_does_not_pay_for_stays_out_and_ends_everything(hire):
    tenant = hire(balance_octa=1, speed=0, quirks=False)
    uuid, machine = vpn(tenant), tenant.ready("sleep 1000")
    tenant.emulator.let_traffic_flow(uuid, tx_bytes=10 * GB, rx_bytes=10**6 * GB)
    ledger = tenant.emulator.ledger()
    assert tenant.listed() == []
    assert 0 <= ledger["balance_wei"] < 10**18 / 1000
    for ended in (uuid, machine):
        assert tenant.entry(ended)["termination_reason"] == "insufficient_funds"
    assert tenant.entry(uuid)["rx_bytes"] == 0
    assert tenant.call("POST", f"/_emulator/sessions/{uuid}/traffic", {"tx_bytes": 1}).status_code == 404


@pytest.mark.parametrize("advance_s", [10**6, 10**8])
def test_a_vpn_ends_when_its_trickle_has_used_up_the_balance(hire, advance_s):
    tenant = hire(balance_octa=0.01, quirks=False)
    uuid = vpn(tenant)
    tenant.emulator.advance_clock(advance_s)
    assert tenant.listed() == []
    assert 0 <= tenant.emulator.ledger()["balance_wei"] < 10**14
    assert tenant.entry(uuid)["termination_reason"] == "insufficient_funds"


@pytest.mark.parametrize("body", [{"tx_bytes": -1}, {"rx_bytes": "5"}, {"tx_bytes": True}, [], {"tx_bytes": 1.5}])
def test_impossible_traffic_is_refused(tenant, body):
    uuid = tenant.start()
    assert tenant.call("POST", f"/_emulator/sessions/{uuid}/traffic", body).status_code == 422
