"""Every kind of fault, as a client meets it."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tenancy import eventually

from octa_provider.emulator.faults.faults import KINDS, Faults, parse_fault
from octa_provider.errors import OctaConfigError


def now_ms():
    """The present, as the ledger tells it."""
    return int(time.time() * 1000)


def keyed(tenant, key="k", **fields):
    return tenant.call("POST", "/services/mr", tenant.order(envs={"OCTA_RENTAL_KEY": key}, **fields))


def fails(tenant, method="GET", path="/accounts", body=None, **options):
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)) as caught:
        tenant.call(method, path, body, **options)
    return caught.value


def test_refuse_is_a_2xx_that_starts_nothing(tenant):
    tenant.emulator.faults({"kind": "refuse", "times": 2, "reason": "No capacity"})
    answer = keyed(tenant)
    assert answer.status_code == 200
    assert answer.json() == [{"id": 0, "status": 1, "reason": "No capacity"}]
    render = {"node_id": 1001, "disk_size": 1}
    assert tenant.call("POST", "/services/render", render).json() == {"reason": "No capacity"}
    assert tenant.emulator.ledger()["sessions"] == []
    assert "uuid" in keyed(tenant).text


def test_status_answers_without_effect_and_says_when_to_come_back(tenant):
    tenant.emulator.faults({"kind": "status", "status": 429, "retry_after": 7, "path": "/services/*", "method": "POST"})
    answer = keyed(tenant)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "7"
    assert "x-request-id" in answer.headers
    assert tenant.listed() == []
    assert keyed(tenant).status_code in (200, 201)


def test_retry_after_can_be_a_date_and_the_body_anything(tenant):
    date = "Wed, 21 Oct 2099 07:28:00 GMT"
    tenant.emulator.faults({"kind": "status", "retry_after": date, "body": "<b>down</b>"})
    answer = tenant.call("GET", "/accounts")
    assert (answer.status_code, answer.headers["Retry-After"], answer.text) == (503, date, "<b>down</b>")


def test_status_with_effect_starts_the_session_all_the_same(tenant):
    tenant.emulator.faults({"kind": "status", "status": 500, "effect": True})
    assert keyed(tenant).status_code == 500
    assert len(tenant.listed()) == 1


def test_delay_holds_the_request_or_the_answer(tenant):
    tenant.emulator.faults({"kind": "delay", "seconds": 0.6, "path": "/services/mr"})
    asked_ms = now_ms()
    with contextlib.suppress(requests.Timeout):
        tenant.call("POST", "/services/mr", tenant.order(), timeout=0.05)
    eventually(lambda: len(tenant.listed()) == 1)
    assert tenant.emulator.ledger()["sessions"][-1]["started_ms"] - asked_ms >= 600
    tenant.emulator.clear_faults()
    tenant.emulator.faults({"kind": "delay", "seconds": 0.5, "path": "/services/mr", "after_effect": True})
    keyed(tenant)
    assert len(tenant.listed()) == 2
    ledger = tenant.emulator.ledger()
    held = next(request for request in reversed(ledger["requests"]) if request["faults"])
    assert held["duration_ms"] >= 500


@pytest.mark.parametrize("after_effect", [False, True])
def test_what_a_delay_holds_goes_on_when_it_is_lifted(tenant, after_effect):
    tenant.emulator.faults({"kind": "delay", "seconds": 3600, "path": "/services/mr", "after_effect": after_effect})
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(tenant.call, "POST", "/services/mr", tenant.order(), timeout=600)
        eventually(lambda: tenant.emulator.request("GET", "/_emulator/faults").json()[0]["met"] == 1)
        assert not answer.done()
        tenant.emulator.clear_faults()
        assert answer.result().ok
    assert len(tenant.listed()) == 1


@pytest.mark.parametrize("reset", [False, True])
def test_drop_before_has_no_effect(tenant, reset):
    tenant.emulator.faults({"kind": "drop_before", "path": "/services/mr", "reset": reset})
    error = fails(tenant, "POST", "/services/mr", tenant.order())
    assert ("reset" if reset else "without response") in str(error).lower()
    assert tenant.listed() == []


@pytest.mark.parametrize("reset", [False, True])
def test_drop_after_has_its_effect(tenant, reset):
    tenant.emulator.faults({"kind": "drop_after", "path": "/services/mr", "reset": reset, "seconds": 0.05})
    fails(tenant, "POST", "/services/mr", tenant.order())
    assert len(tenant.listed()) == 1


def test_a_dropped_request_has_no_status_in_the_ledger(tenant):
    tenant.emulator.faults({"kind": "drop_after"})
    fails(tenant)
    (request,) = tenant.emulator.ledger()["requests"]
    assert request["status"] is None
    assert request["faults"] == ["drop_after"]


def test_garbage_is_no_json_though_it_happened(tenant):
    tenant.emulator.faults({"kind": "garbage", "path": "/services/mr"})
    answer = keyed(tenant)
    assert answer.status_code == 200
    assert answer.text.startswith("<html>")
    assert len(tenant.listed()) == 1


def test_truncate_breaks_the_answer_off(tenant):
    tenant.emulator.faults({"kind": "truncate", "path": "/services/mr"})
    fails(tenant, "GET", "/services/mr")
    tenant.get("/services/mr")


@pytest.mark.parametrize("answer", [500, 504, "drop"])
def test_late_commit_answers_an_error_and_happens_later(tenant, answer):
    tenant.emulator.faults({"kind": "late_commit", "seconds": 0.6, "answer": answer})
    asked_ms = now_ms()
    if answer == "drop":
        fails(tenant, "POST", "/services/mr", tenant.order())
    else:
        assert keyed(tenant).status_code == answer
    eventually(lambda: len(tenant.listed()) == 1)
    assert tenant.emulator.ledger()["sessions"][-1]["started_ms"] - asked_ms >= 600


def test_late_commit_can_leave_the_client_hanging(tenant):
    tenant.emulator.faults({"kind": "late_commit", "seconds": 0.6, "answer": "hang"})
    with pytest.raises(requests.Timeout):
        tenant.call("POST", "/services/mr", tenant.order(), timeout=0.05)
    eventually(lambda: len(tenant.listed()) == 1)
    eventually(lambda: tenant.emulator.ledger()["requests"][-1]["faults"] is not None)


def test_a_late_commit_of_a_refused_start_stays_nothing(tenant):
    tenant.emulator.faults({"kind": "late_commit", "seconds": 0.01})
    assert tenant.post(node_id=4).status_code == 500
    time.sleep(0.1)
    assert tenant.emulator.ledger()["sessions"] == []


def test_late_listing_bills_a_session_that_no_list_shows_yet(tenant):
    tenant.emulator.faults({"kind": "late_listing", "seconds": 10_000}, {"kind": "late_listing", "seconds": 0.2})
    keyed(tenant)
    assert tenant.listed() == []
    assert tenant.emulator.ledger()["running"] == 1
    keyed(tenant)
    assert tenant.emulator.ledger()["running"] == 2
    eventually(lambda: len(tenant.listed()) == 1)


def test_never_ready_stays_in_its_startup_phase(tenant):
    tenant.emulator.faults({"kind": "never_ready", "node_id": 1002})
    fine, stuck = tenant.start("echo hi"), tenant.start("echo hi", node_id=1002)
    eventually(lambda: tenant.is_ready(fine))
    time.sleep(0.1)
    info = tenant.info(stuck)
    assert info["is_ready"] is False
    assert info["progress"] == "pulling image"
    tenant.stop(stuck)
    assert tenant.listed() == [fine]


def test_slow_start_comes_up_so_much_later(tenant):
    tenant.emulator.faults({"kind": "slow_start", "seconds": 2})
    slow, next_one = tenant.ready("echo hi"), tenant.ready("echo hi")
    took_ms = [one["ready_ms"] - one["started_ms"] for one in map(tenant.entry, (slow, next_one))]
    assert took_ms[0] >= 2000
    assert tenant.entry(slow)["ready_ms"] <= tenant.entry(next_one)["started_ms"]


def test_node_dies_after_a_start_on_it(tenant):
    tenant.emulator.faults({"kind": "node_dies", "seconds": 1.5})
    uuid = tenant.start("sleep 1000")
    eventually(lambda: tenant.listed() == [])
    assert tenant.entry(uuid)["stopped_ms"] - tenant.entry(uuid)["started_ms"] >= 1500
    assert (tenant.entry(uuid)["stopped_by"], tenant.entry(uuid)["termination_reason"]) == ("fault", "node offline")
    assert tenant.post().json()[0]["reason"] == "Node not found"
    assert 1001 not in [record and record["node_id"] for record in tenant.get("/services/mr")]


def test_node_dies_at_a_time_with_everything_on_it(tenant):
    uuids = [tenant.start(), tenant.start(), tenant.start(node_id=1003)]
    tenant.emulator.faults({"kind": "node_dies", "node_id": 1001, "seconds": 0.05})
    eventually(lambda: tenant.listed() == uuids[2:])
    tenant.emulator.faults({"kind": "node_dies", "node_id": 99, "seconds": 0})


@pytest.mark.parametrize(("form", "expected"), [("missing", "gone"), ("null", None), ("empty", {})])
def test_no_user_envs_hides_them_everywhere(tenant, form, expected):
    tenant.emulator.faults({"kind": "no_user_envs", "form": form, "times": None})
    keyed(tenant)
    record = tenant.get("/sessions")[0]
    assert record.get("user_envs", "gone") == expected
    assert tenant.get(f"/services/{record['uuid']}/info").get("user_envs", "gone") == expected
    assert tenant.get("/sessions?recent=true")[0].get("user_envs", "gone") == expected
    tenant.stop(record["uuid"])
    assert tenant.get("/sessions?recent=true")[0].get("user_envs", "gone") == expected
    assert tenant.call("GET", "/services/nobody/info").status_code == 404
    assert tenant.entry(record["uuid"])["rental_key"] == "k"


def test_no_user_envs_leaves_odd_records_alone(tenant):
    tenant.emulator.faults({"kind": "no_user_envs", "path": "/services/mr"})
    assert {"node_id": None, "gpus": "none"} in tenant.get("/services/mr")


def test_entries_come_twice_or_not_at_all(tenant):
    uuids = [tenant.start(node_id=1003) for _ in range(3)]
    for spec, expected in (
        ({"kind": "duplicate_entry"}, [*uuids, uuids[2]]),
        ({"kind": "duplicate_entry", "index": 0}, [uuids[0], *uuids]),
        ({"kind": "missing_entry"}, uuids[:2]),
        ({"kind": "missing_entry", "index": 1}, [uuids[0], uuids[2]]),
        ({"kind": "missing_entry", "all": True}, []),
    ):
        tenant.emulator.faults(spec)
        assert tenant.listed() == expected
        assert tenant.listed() == uuids


def test_a_list_fault_leaves_other_answers_alone(tenant):
    tenant.emulator.faults({"kind": "missing_entry", "path": "/accounts"})
    assert tenant.get("/accounts")["email"]


def test_after_lets_some_pass_and_times_ends_it(tenant):
    tenant.emulator.faults({"kind": "status", "after": 2, "times": 2})
    assert [tenant.call("GET", "/accounts").status_code for _ in range(6)] == [200, 200, 503, 503, 200, 200]
    (report,) = tenant.call("GET", "/_emulator/faults").json()
    assert (report["seen"], report["met"]) == (4, 2)


def test_an_outage_lasts_until_it_is_lifted(tenant):
    tenant.emulator.faults({"kind": "status", "times": None})
    assert {tenant.call("GET", path).status_code for path in ("/accounts", "/sessions", "/network")} == {503}
    assert tenant.emulator.ledger()["running"] == 0
    tenant.emulator.clear_faults()
    tenant.get("/sessions")


def test_an_empty_list_lifts_every_fault_too(tenant):
    tenant.emulator.faults({"kind": "status"})
    assert tenant.call("POST", "/_emulator/faults", []).json() == []
    tenant.emulator.faults()
    tenant.get("/accounts")


def test_chance_is_repeatable():
    def draws():
        fault = parse_fault({"kind": "status", "probability": 0.5, "seed": 3, "times": None})
        return [fault.takes("GET", "/x", set()) for _ in range(200)]

    assert draws() == draws()
    assert 60 < sum(draws()) < 140


def test_faults_add_up_until_one_of_them_answers():
    faults = Faults()
    for kind in ("delay", "status", "garbage"):
        faults.add(parse_fault({"kind": kind}))
    assert [fault.kind for fault in faults.take("GET", "/accounts", set())] == ["delay", "status"]
    assert [fault.kind for fault in faults.take("GET", "/accounts", set())] == ["garbage"]


def test_paths_are_globs_or_regular_expressions():
    by_glob = parse_fault({"kind": "status", "path": "/services/*/stop"})
    by_expression = parse_fault({"kind": "status", "path": "^/services/[^/]+/stop$", "method": "POST"})
    for fault in (by_glob, by_expression):
        assert fault.matches("POST", "/services/abc/stop", set())
        assert not fault.matches("POST", "/services/mr", set())
    assert not by_expression.matches("GET", "/services/abc/stop", set())


def test_faults_about_a_node_read_the_body(tenant):
    tenant.emulator.faults({"kind": "refuse", "node_id": 1002, "times": None})
    assert tenant.post(node_id=1001).json() != [{"id": 0, "status": 1, "reason": "Node is busy"}]
    assert tenant.post(node_id=1002).json() == [{"id": 0, "status": 1, "reason": "Node is busy"}]
    assert tenant.emulator.request("POST", "/services/mr", data="{").status_code == 422


def test_faults_from_the_start(hire):
    tenant = hire(faults=({"kind": "status", "status": 418, "path": "/accounts"},))
    assert tenant.call("GET", "/accounts").status_code == 418


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"kind": "earthquake"},
        {"kind": "status", "sttus": 500},
        {"kind": "status", "status": 99},
        {"kind": "raise_price", "factor": -1},
        {"kind": "status", "status": "500"},
        {"kind": "status", "times": True},
        {"kind": "status", "path": "^("},
        {"kind": "late_commit", "answer": "explode"},
        {"kind": "no_user_envs", "form": "upside down"},
    ],
)
def test_a_fault_that_cannot_be_is_refused(tenant, spec):
    with pytest.raises(OctaConfigError):
        parse_fault(spec)
    assert tenant.call("POST", "/_emulator/faults", [spec]).status_code == 422
    assert tenant.call("GET", "/_emulator/faults").json() == []


def test_every_kind_is_documented():
    from octa_provider.emulator.faults import faults

    assert all(f"`{kind}`" in (faults.__doc__ or "") for kind in KINDS)


def offered(tenant, node_id=1001):
    return next(record for record in tenant.get("/services/mr") if record["node_id"] == node_id)


def test_raise_price_lets_the_session_cost_more_than_the_list_said_and_the_next_list_say_so(tenant):
    listed = offered(tenant)
    tenant.emulator.faults({"kind": "raise_price", "method": "POST", "path": "/services/mr", "factor": 5})
    uuid = tenant.start("sleep 1000", node_id=1001)
    assert tenant.entry(uuid)["price_wei"] == 5 * int(listed["total_price_wei"])
    info = tenant.info(uuid)
    assert info["prices"]["base_usd"] == pytest.approx(5 * listed["base_usd"], abs=3)
    dearer = offered(tenant)
    assert int(dearer["total_price_wei"]) == 5 * int(listed["total_price_wei"])
    assert dearer["base"] == 5 * listed["base"]
    assert dearer["total_price_usd"] == pytest.approx(5 * listed["total_price_usd"], abs=1e-3)
    tenant.emulator.advance_clock(3600)
    assert int(tenant.info(uuid)["charge_amount"]) >= 5 * int(listed["total_price_wei"])


def test_a_session_keeps_the_price_that_it_was_started_at(tenant):
    before = tenant.start(node_id=1003)
    price = tenant.info(before)["prices"]["base_usd"]
    tenant.emulator.faults({"kind": "raise_price", "factor": 1.5, "times": None})
    after, last = tenant.start(node_id=1003), tenant.start(node_id=1003)
    assert tenant.info(before)["prices"]["base_usd"] == price
    assert tenant.entry(after)["price_wei"] * 2 == tenant.entry(before)["price_wei"] * 3
    assert tenant.entry(last)["price_wei"] * 4 == tenant.entry(before)["price_wei"] * 9


def test_a_price_is_raised_on_the_node_that_is_named_and_only_there(tenant):
    tenant.emulator.faults({"kind": "raise_price", "node_id": 1002})
    before = offered(tenant, 1001), offered(tenant, 1002)
    tenant.start(node_id=1001)
    tenant.start(node_id=1002)
    assert offered(tenant, 1001)["total_price_wei"] == before[0]["total_price_wei"]
    assert offered(tenant, 1002)["total_price_wei"] == 5 * before[1]["total_price_wei"]


ODD_PRICES = [("missing", "gone"), ("null", None), ("zero", 0), ("negative", -1)]


@pytest.mark.parametrize(("form", "value"), ODD_PRICES)
def test_odd_price_leaves_a_catalogue_without_a_price_that_can_be(tenant, form, value):
    tenant.emulator.faults({"kind": "odd_price", "form": form, "times": None})
    for record in tenant.get("/services/mr")[2:]:
        for name in ("total_price_usd", "total_price_wei", "total_price_ether", "base", "base_usd"):
            assert record.get(name, "gone") in (value, "gone"), name
    assert tenant.get("/services/vpn")[0].get("traffic_price_usd", "gone") == value
    assert offered(tenant).get("total_price_wei", "gone") == value


def test_odd_price_is_met_on_one_node_and_in_sessions_where_it_is_told_so(tenant):
    tenant.emulator.faults({"kind": "odd_price", "form": "zero", "node_id": 1002, "times": None})
    assert offered(tenant, 1002)["total_price_usd"] == 0
    assert offered(tenant, 1001)["total_price_usd"] > 0
    uuid = tenant.start(node_id=1002)
    assert tenant.entry(uuid)["price_wei"] > 0
    assert tenant.info(uuid)["prices"]["base_usd"] > 0
    tenant.emulator.faults({"kind": "odd_price", "form": "missing", "path": "^/(sessions|services/[^/]+/info)$"})
    assert "base_usd" not in tenant.info(uuid)["prices"]


def test_bare_uuid_answers_a_start_with_an_object(tenant):
    assert isinstance(keyed(tenant).json(), list)
    tenant.emulator.faults({"kind": "bare_uuid"})
    assert keyed(tenant).json().keys() == {"uuid"}
    tenant.emulator.faults({"kind": "bare_uuid"}, {"kind": "node_dies", "node_id": 1001, "seconds": 0})
    eventually(lambda: tenant.listed() == [])
    assert keyed(tenant).json() == [{"id": 0, "status": 1, "reason": "Node not found"}]


def test_a_form_belongs_to_its_kind():
    for spec in ({"kind": "no_user_envs", "form": "zero"}, {"kind": "odd_price", "form": "empty"}):
        with pytest.raises(OctaConfigError, match="form"):
            parse_fault(spec)


def test_seconds_tells_the_times_of_sessions_and_logs_in_seconds(hire):
    tenant = hire(quirks=False)
    tenant.emulator.faults({"kind": "seconds", "times": None})
    uuid = tenant.start()
    started_s = tenant.entry(uuid)["started_ms"] // 1000
    assert tenant.info(uuid)["started_at"] == tenant.get("/sessions")[0]["started_at"] == started_s
    assert started_s <= tenant.get(f"/services/{uuid}/logs")["system"][0]["ts"] <= started_s + 1
    tenant.stop(uuid)
    record = tenant.get("/sessions?recent=true")[0]
    assert (record["started_at"], record["finished_at"]) == (started_s, tenant.entry(uuid)["stopped_ms"] // 1000)


def test_missing_fields_leaves_them_out_once_or_for_good(tenant):
    uuid = tenant.ready()
    tenant.emulator.faults({"kind": "missing_fields", "fields": ["ssh_direct", "ssh_proxy", "nothing"]})
    assert not tenant.info(uuid).keys() & {"ssh_direct", "ssh_proxy"}
    assert tenant.info(uuid).keys() >= {"ssh_direct", "ssh_proxy"}
    tenant.emulator.faults(
        {"kind": "missing_fields", "fields": ["free_disk"], "path": "/services/mr", "times": None, "method": "GET"}
    )
    assert not any("free_disk" in record for record in tenant.get("/services/mr"))
    assert "prices" in tenant.get("/sessions")[0]


def test_drip_lets_an_answer_come_slowly_and_whole(tenant):
    whole = tenant.get("/accounts")
    tenant.emulator.faults({"kind": "drip", "path": "/accounts", "seconds": 0.3})
    began = time.monotonic()
    assert tenant.get("/accounts") == whole
    assert time.monotonic() - began >= 0.3
    tenant.emulator.faults({"kind": "drip", "path": "/services/mr", "method": "POST", "seconds": 30})
    answer = tenant.call("POST", "/services/mr", tenant.order(), stream=True)
    assert next(answer.iter_content(1)) == b"["
    answer.close()
    assert len(tenant.listed()) == 1
