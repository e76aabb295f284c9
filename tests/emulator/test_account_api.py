"""The endpoints beside the sessions: account, network, apps, own nodes, idle jobs, and how errors look."""

import base64
import gzip

import pytest
import requests


def test_the_account_has_a_balance_in_wei(tenant):
    account = tenant.get("/accounts")
    assert set(account) == {"account_uuid", "email", "uid", "wallet", "balance", "ref_code", "avatar"}
    assert int(account["balance"]) > 2**64
    assert isinstance(account["balance"], str)
    assert tenant.get("/accounts/balance") == {"balance": 10_000 * 10**18, "currency": "OCTA"}


def test_a_new_wallet_each_time(tenant):
    first, second = (tenant.call("POST", "/accounts") for _ in range(2))
    assert first.status_code == 201
    assert first.json()["address"] != second.json()["address"]
    assert len(tenant.emulator.ledger()["wallets"]) == 2


def test_the_network_is_public_and_nothing_else_is(tenant):
    url = tenant.emulator.base_url
    network = requests.get(url + "/network", timeout=600)
    assert network.status_code == 200
    assert network.json()["nodes"]["count"] == 12
    assert sum(model["count"] for model in network.json()["marketplace"]["gpus"].values()) > 12
    for path in ("/accounts", "/sessions", "/services/mr", "/_emulator/ledger", "/no/such/path"):
        answer = requests.get(url + path, timeout=600)
        assert answer.status_code == 401
        assert answer.json()["message"]


@pytest.mark.parametrize("form", ["Bearer {}", "{}x", "ключ"])
def test_a_wrong_key_is_refused(tenant, form):
    headers = {"Authorization": form.format(tenant.emulator.api_key).encode()}
    assert tenant.call("GET", "/accounts", headers=headers).status_code == 401


def test_every_answer_carries_its_own_request_id(tenant):
    answers = [tenant.call("GET", path) for path in ("/accounts", "/nowhere", "/services/mr", "/_emulator/ledger")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4


def test_unknown_paths_and_methods_get_json(tenant):
    assert tenant.call("GET", "/nowhere").status_code == 404
    assert tenant.call("GET", "/nowhere").json() == {"message": "Not Found"}
    assert tenant.call("DELETE", "/accounts").status_code == 405
    assert tenant.call("DELETE", "/accounts").json() == {"message": "Method Not Allowed"}


def test_a_body_that_is_not_json_is_refused(tenant):
    answer = tenant.emulator.request("POST", "/services/mr", data=b"{nonsense")
    assert answer.status_code == 422
    assert answer.json() == {"message": "the body is not JSON"}


def test_a_huge_body_is_refused(tenant):
    answer = tenant.emulator.request("POST", "/services/mr", data=b"[" + b" " * (64 * 1024**2) + b"]")
    assert answer.status_code == 413


def test_apps_are_listed(tenant):
    assert {app["image"] for app in tenant.get("/apps")} >= {"blender:4.5", "ubuntu:24.04"}


def test_apps_are_filtered_by_category(tenant):
    assert {app["category"] for app in tenant.get("/apps?category=AI")} == {"AI"}
    assert tenant.get("/apps?category=none") == []


def test_own_nodes_have_two_envelopes(tenant):
    listed = tenant.get("/nodes")
    assert [node["id"] for node in listed] == [9001, 9002]
    assert listed[0]["prices"].keys() == {"base", "storage", "traffic"}
    detail = tenant.get("/nodes/9001")
    assert "prices" not in detail
    system = listed[0]["system"]
    shared = system.keys() - {"memory"}
    assert {name: detail["data"][name] for name in shared} == {name: system[name] for name in shared}
    assert detail["data"]["memory"]["total_memory"] == system["memory"]["size"]
    assert detail["data"]["uptime"] == pytest.approx(listed[0]["uptime"], abs=5)
    assert detail["data"]["version"] == listed[0]["osn"]
    assert detail["reliability"]["rating"]
    assert detail["features"]


def test_own_nodes_are_filtered_by_state(tenant):
    assert [node["id"] for node in tenant.get("/nodes?state=online")] == [9001, 9002]
    assert tenant.get("/nodes?state=offline") == []


def test_own_nodes_are_filtered_by_country(tenant):
    country = tenant.get("/nodes")[0]["location"]["country"]
    assert tenant.get(f"/nodes?country={country}")
    assert tenant.get("/nodes?country=Atlantis") == []


def test_node_files_are_binary(tenant):
    ident, logs = (tenant.call("GET", f"/nodes/9001/{name}") for name in ("ident", "logs"))
    assert ident.headers["Content-Type"] == "application/octet-stream"
    assert b"\x00\xff" in ident.content
    assert b"node 9001 is well" in gzip.decompress(logs.content)


def test_prices_change_and_stay(tenant):
    answer = tenant.call("PATCH", "/nodes/9002/prices", {"base": str(2**70), "traffic": 5})
    assert answer.json()["prices"]["base"] == 2**70
    prices = tenant.get("/nodes")[1]["prices"]
    assert int(prices["base"]) == 2**70
    assert int(prices["traffic"]) == 5


@pytest.mark.parametrize("body", [{"gpu_hour": 0.5}, {"gpu_hour": 0.5, "cpu_hour": 0.1}, {"storage": 7}])
def test_any_price_that_an_official_client_sends_can_be_set_alone(tenant, body):
    before = tenant.get("/nodes")[0]["prices"]
    assert tenant.call("PATCH", "/nodes/9001/prices", body).status_code == 200
    after = {name: float(value) for name, value in tenant.get("/nodes")[0]["prices"].items()}
    assert after == {name: float(value) for name, value in (before | body).items()}


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"base": -1}, {"base": "1.5"}, {"base": True}, {"gpu_hour": -0.1}, {"gpu_hour": "x"}, {"hour": 1}],
)
def test_impossible_prices_are_refused(tenant, body):
    answer = tenant.call("PATCH", "/nodes/9001/prices", body)
    assert answer.status_code == 422
    assert answer.json()["message"]


def test_a_reboot_happens_once_per_get(tenant):
    tenant.get("/nodes/9001/reboot")
    assert tenant.emulator.ledger()["reboots"] == {"9001": 1, "9002": 0}
    assert tenant.get("/nodes/9001")["data"]["uptime"] < 60


@pytest.mark.parametrize("path", ["/nodes/1", "/nodes/x", "/nodes/7/reboot", "/idle_jobs/7/1", "/idle_jobs/9001/x"])
def test_unknown_nodes_and_jobs_are_not_found(tenant, path):
    answer = tenant.call("GET", path)
    assert answer.status_code == 404
    assert "not found" in answer.json()["message"]


def test_idle_jobs_are_up_or_say_why_not(tenant):
    job = tenant.get("/idle_jobs/9001/1")
    assert (job["is_up"], job["uptime"], job["status"], job["finished_at"]) == (True, 5400, "running", None)
    assert tenant.get("/idle_jobs/9001/2")["error"]
    done = tenant.get("/idle_jobs/9001/42")
    assert (done["id"], done["node_id"], done["status"], done["is_up"]) == (42, 9001, "completed", False)
    assert done["created_at"] < done["finished_at"]
    assert tenant.call("GET", "/idle_jobs/9001/9/logs").status_code == 404


def test_idle_job_logs_come_packed_and_as_lines(tenant, hire):
    packed = tenant.get("/idle_jobs/9001/1/logs")["data"]
    assert gzip.decompress(base64.b64decode(packed)).startswith(b"[0] hashing\n")
    assert tenant.get("/idle_jobs/9001/42/logs")["data"][0] == {"line": 0, "text": "[0] hashing"}
    assert isinstance(hire(quirks=False).get("/idle_jobs/9001/42/logs")["data"], str)


def test_catalogues_hold_one_bad_record_each(tenant, hire):
    for service in ("mr", "render"):
        assert tenant.get(f"/services/{service}").count({"node_id": None, "gpus": "none"}) == 1
    assert all(isinstance(record["latitude"], float) for record in tenant.get("/services/vpn"))
    plain = hire(quirks=False)
    assert len(plain.get("/services/mr")) == len(plain.get("/services/render")) == 12
