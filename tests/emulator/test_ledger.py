"""The ledger, and what a state folder keeps when its emulator is killed."""

import asyncio
import json
import socket

import pytest
import requests
from tenancy import Tenant, eventually

from octa_provider.emulator.container.process import SESSION_MARK, end_leftovers, marked_pids
from octa_provider.emulator.platform.ledger import Ledger, overlaps
from octa_provider.emulator.platform.session import Order, Session
from octa_provider.emulator.server import Emulator
from octa_provider.emulator.settings import EmulatorSettings
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.errors import OctaConfigError

MS = 1_000_000


def session(key, start_ms, stop_ms=None, uuid="u"):
    return Session(
        uuid=uuid,
        ordinal=0,
        order=Order("mr", 1, envs={} if key is None else {"OCTA_RENTAL_KEY": key}),
        price_wei=1,
        started_ns=start_ms * MS,
        billed_from_ms=0,
        stopped_ns=None if stop_ms is None else stop_ms * MS,
    )


def test_overlaps_are_measured_for_each_key():
    rows = [session("a", 0, 100), session("a", 60, 90), session("a", 70), session("b", 5, 6), session(None, 0)]
    assert overlaps(rows, 200 * MS) == {
        "a": {"max_running": 3, "overlap_ms": 40.0, "sessions": 3},
        "b": {"max_running": 1, "overlap_ms": 0.0, "sessions": 1},
    }


def test_a_start_at_the_moment_of_a_stop_is_no_overlap():
    rows = [session("a", 0, 50), session("a", 50, 80)]
    assert overlaps(rows, 100 * MS)["a"]["max_running"] == 1


def test_it_tells_who_stopped_what_and_which_requests_came(tenant):
    uuid = tenant.start(envs={"OCTA_RENTAL_KEY": "airflow/a/b", "X": "1"})
    tenant.get("/sessions?recent=true")
    tenant.stop(uuid)
    ledger = tenant.emulator.ledger()
    (entry,) = ledger["sessions"]
    assert entry["uuid"] == uuid
    assert entry["node_id"] == 1001
    assert entry["service"] == "mr"
    assert entry["user_envs"] == {"OCTA_RENTAL_KEY": "airflow/a/b", "X": "1"}
    assert entry["stopped_ms"] >= entry["started_ms"]
    assert ledger["max_running_by_key"]["airflow/a/b"]["max_running"] == 1
    assert [(r["method"], r["path"]) for r in ledger["requests"]] == [
        ("POST", "/services/mr"),
        ("GET", "/sessions?recent=true"),
        ("POST", f"/services/{uuid}/stop"),
    ]
    assert ledger["requests"][0]["uuid"] == ledger["requests"][2]["uuid"] == uuid
    assert all(r["user_agent"].startswith("python-requests/") for r in ledger["requests"])
    assert ledger["request_counts"]["POST /services/{uuid}/stop"] == 1
    assert tenant.emulator.ledger(requests=False)["requests"] == []


def test_the_key_is_not_in_it(tenant):
    tenant.start()
    assert tenant.emulator.api_key not in (tenant.emulator.state / "ledger.jsonl").read_text()


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, 5)
    ledger.write_session(session("a", 0))
    ledger.write_request({"method": "GET"})
    ledger.close()
    ledger.write_request({"method": "late, after the file was closed"})
    with open(path, "a") as file:
        file.write('{"event": "session", "sess')
    again = Ledger(path, 99)
    assert again.balance_start_wei == 5
    assert again.sessions["u"] == ledger.sessions["u"]
    assert again.requests == [{"method": "GET"}]
    again.close()
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_restart_keeps_key_account_and_history(tmp_path):
    with start_emulator(in_process=True, state=tmp_path, balance_octa=50) as emulator:
        tenant = Tenant(emulator)
        first, account = (emulator.api_key, emulator.ssh_private_key.read_bytes()), tenant.get("/accounts")
        uuid = tenant.ready("echo kept")
        tenant.printed(uuid, "kept")
    with start_emulator(in_process=True, state=tmp_path, balance_octa=1) as emulator:
        tenant = Tenant(emulator)
        assert (emulator.api_key, emulator.ssh_private_key.read_bytes()) == first
        assert tenant.get("/accounts")["account_uuid"] == account["account_uuid"]
        # An orderly end stops every session: nothing of it is left to adopt.
        assert tenant.listed() == []
        assert (tenant.entry(uuid)["stopped_by"], tenant.entry(uuid)["termination_reason"]) == (
            "platform",
            "emulator stopped",
        )
        assert tenant.logs(uuid, recent=True) == "kept\n"
        assert emulator.ledger()["initial_balance_wei"] == 50 * 10**18
        assert "/services/mr" in [request["path"] for request in emulator.ledger()["requests"]]


def test_a_new_api_key_replaces_the_old_one(tmp_path):
    for key in ("first", "second", "second"):
        with start_emulator(in_process=True, state=tmp_path, api_key=key) as emulator:
            assert emulator.api_key == key
            Tenant(emulator).get("/accounts")


def test_a_folder_has_one_emulator_at_a_time(tmp_path):
    with (
        start_emulator(in_process=True, state=tmp_path),
        pytest.raises(OctaConfigError, match="Another emulator"),
        start_emulator(in_process=True, state=tmp_path),
    ):
        pass


def test_sessions_of_a_killed_emulator_are_adopted(tmp_path):
    command = "echo begun; exec python3 -m http.server --bind 127.0.0.1 $PORT"
    settings = EmulatorSettings(state=tmp_path, start_delay_s=0.02, quirks=False)

    async def killed():
        emulator = Emulator(settings)
        await emulator.start()
        handle = EmulatorHandle(emulator.announcement(), tmp_path)
        tenant = Tenant(handle)
        uuid = await asyncio.to_thread(tenant.ready, command, http_ports=[8080], envs={"OCTA_RENTAL_KEY": "k"})
        await asyncio.to_thread(tenant.printed, uuid, "begun")
        vpn = (await asyncio.to_thread(tenant.call, "POST", "/services/vpn", {"node_id": 1001, "subkind": "wg"})).json()
        await asyncio.to_thread(eventually, lambda: tenant.is_ready(vpn["uuid"]))
        stuck = await asyncio.to_thread(tenant.start, "echo late", node_id=1003)
        info = await asyncio.to_thread(tenant.info, uuid)
        await emulator.abandon()
        return uuid, vpn["uuid"], stuck, info

    uuid, vpn, late, before = asyncio.run(killed())
    (pid,) = marked_pids(SESSION_MARK, uuid)
    with start_emulator(in_process=True, state=tmp_path, start_delay_s=0.02, quirks=False) as emulator:
        tenant = Tenant(emulator)
        assert tenant.listed() == [uuid, vpn, late]
        assert marked_pids(SESSION_MARK, uuid) == [pid]
        after = tenant.info(uuid)
        for name in ("urls", "ssh_direct", "started_at", "user_envs", "ports_matrix"):
            assert after[name] == before[name], name
        assert int(after["charge_amount"]) > int(before["charge_amount"])
        assert "adopted" in tenant.system(uuid)
        eventually(lambda: tenant.is_ready(late))
        tenant.printed(late, "late")
        tenant.stop(uuid)
        assert marked_pids(SESSION_MARK, uuid) == []
        tenant.stop(vpn)
        assert emulator.ledger()["max_running_by_key"]["k"]["max_running"] == 1


def test_an_adopted_session_moves_when_its_ports_were_taken(tmp_path):
    settings = EmulatorSettings(state=tmp_path, start_delay_s=0.01, quirks=False)

    async def killed():
        emulator = Emulator(settings)
        await emulator.start()
        tenant = Tenant(EmulatorHandle(emulator.announcement(), tmp_path))
        uuid = await asyncio.to_thread(tenant.ready)
        info = await asyncio.to_thread(tenant.info, uuid)
        await emulator.abandon()
        return uuid, info["ssh_direct"]["port"]

    uuid, port = asyncio.run(killed())
    with socket.create_server(("127.0.0.1", port)), start_emulator(in_process=True, state=tmp_path) as emulator:
        assert Tenant(emulator).info(uuid)["ssh_direct"]["port"] != port


def test_a_broken_state_folder_is_told_and_let_go(tmp_path):
    (tmp_path / "account.json").write_text("{")
    for _ in range(2):
        with pytest.raises(ValueError, match="Expecting"), start_emulator(in_process=True, state=tmp_path):
            pass
    (tmp_path / "account.json").unlink()
    with start_emulator(in_process=True, state=tmp_path):
        pass


def test_an_adopted_sessions_command_may_have_ended_meanwhile(tmp_path):
    settings = EmulatorSettings(state=tmp_path, start_delay_s=0.01, quirks=False)

    async def killed():
        emulator = Emulator(settings)
        await emulator.start()
        tenant = Tenant(EmulatorHandle(emulator.announcement(), tmp_path))
        uuid = await asyncio.to_thread(tenant.ready, "sleep 1000")
        await emulator.abandon()
        return uuid

    uuid = asyncio.run(killed())
    assert end_leftovers(tmp_path)
    with start_emulator(in_process=True, state=tmp_path) as emulator:
        tenant = Tenant(emulator)
        eventually(lambda: "ended with a status that nobody saw" in tenant.system(uuid))
        assert tenant.listed() == [uuid]


def test_several_installations_share_one_account(tenant):
    with requests.Session() as production, requests.Session() as testing:
        for http, namespace in ((production, "prod"), (testing, "dev")):
            http.headers["Authorization"] = tenant.emulator.api_key
            for _ in range(2):
                order = tenant.order(envs={"OCTA_RENTAL_KEY": f"{namespace}/airflow/d/r/t/0"}, node_id=1003)
                http.post(tenant.emulator.base_url + "/services/mr", json=order).raise_for_status()
        listed = [http.get(tenant.emulator.base_url + "/sessions").json() for http in (production, testing)]
    assert [{s["user_envs"]["OCTA_RENTAL_KEY"].split("/")[0] for s in seen} for seen in listed] == [{"prod", "dev"}] * 2
    most = {key: found["max_running"] for key, found in tenant.emulator.ledger()["max_running_by_key"].items()}
    assert most == {"prod/airflow/d/r/t/0": 2, "dev/airflow/d/r/t/0": 2}
