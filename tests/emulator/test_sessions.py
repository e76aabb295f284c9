"""A session from its start to its end, as its tenant sees it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tenancy import eventually

from octa_provider.emulator.container.container import Container
from octa_provider.emulator.container.process import SESSION_MARK, marked_pids


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_session_comes_up_through_the_documented_texts(hire):
    patient = hire(start_delay_s=10_000, quirks=False)
    first = patient.info(patient.start())
    tenant = hire(start_delay_s=0.6, quirks=False)
    uuid = tenant.start()
    assert first["progress"] == "queued"
    assert first["is_ready"] is False
    assert first["ports_matrix"] == {}
    assert "ssh_direct" not in first
    seen = []
    while seen[-1:] != ["service configured"]:
        seen.append(tenant.info(uuid)["progress"])
        time.sleep(0.02)
    texts = [
        "queued",
        "preparing node",
        "provisioning",
        "pulling image",
        "create container",
        "starting service",
        "service configured",
    ]
    assert [line for line in tenant.system(uuid).splitlines() if line in texts] == texts
    # A busy machine may miss one between two looks, but never sees them in another order.
    assert list(dict.fromkeys(seen)) == [text for text in texts if text in seen]
    assert len(set(seen)) > 2
    assert "service configured" in tenant.system(uuid)


def test_its_command_really_runs_with_its_environment(tenant):
    uuid = tenant.start("echo hello $WHO; echo oops >&2; pwd", envs={"WHO": "artist", "N": 3})
    log = tenant.printed(uuid, "sessions/")
    assert "hello artist\n" in log
    assert "oops\n" in log
    assert f"sessions/{uuid}" in log
    assert tenant.info(uuid)["user_envs"] == {"WHO": "artist", "N": "3"}


def test_nothing_of_our_own_environment_leaks(tenant, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    uuid = tenant.start("env; echo done", envs={"PATH": "/opt/mine"})
    log = tenant.printed(uuid, "done")
    assert "hunter2" not in log
    assert tenant.emulator.api_key not in log
    assert f"HOME={tenant.emulator.state / 'sessions' / uuid}\n" in log
    path = next(line for line in log.splitlines() if line.startswith("PATH="))
    assert "/usr/bin" in path
    assert path.endswith(":/opt/mine")


def test_a_session_outlives_its_command_and_is_billed(tenant):
    uuid = tenant.start("exit 7")
    eventually(lambda: "ended with status 7" in tenant.system(uuid))
    assert tenant.listed() == [uuid]
    assert tenant.emulator.ledger()["running"] == 1


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        ("/bin/sh -c", "echo one; echo two", "one\ntwo\n"),
        ("/bin/echo", "'a b' c", "a b c\n"),
        ("echo x", "", "x\n"),
        ("sh -c 'echo hi'", "", "hi\n"),
    ],
)
def test_an_entrypoint_gets_the_start_command_as_arguments(tenant, entrypoint, command, expected):
    uuid = tenant.start(command, entrypoint=entrypoint)
    assert tenant.printed(uuid, expected) == expected


def test_a_program_that_does_not_exist_is_told_in_the_system_log(tenant):
    uuid = tenant.start(entrypoint="no-such-program --x")
    eventually(lambda: "OCI runtime create failed" in tenant.system(uuid))
    assert tenant.listed() == [uuid]


def test_an_image_without_a_shell_runs_nothing_that_needs_one(tenant):
    uuid = tenant.start("echo hi", image="example/tool-noshell:1")
    eventually(lambda: 'exec: "/bin/sh"' in tenant.system(uuid))
    assert tenant.logs(uuid) == ""
    other = tenant.start(entrypoint="/bin/echo", command="fine", image="scratch")
    tenant.printed(other, "fine")


def test_stop_ends_it_and_all_its_children(tenant):
    command = "sleep 1000 & setsid sleep 1000 & (trap '' TERM; while :; do sleep 1; done) & echo up; wait"
    uuid = tenant.start(command)
    tenant.printed(uuid, "up")
    pids = eventually(lambda: len(found := marked_pids(SESSION_MARK, uuid)) >= 4 and found)
    assert tenant.stop(uuid).status_code == 200
    assert tenant.listed() == []
    assert not [pid for pid in pids if alive(pid)]
    assert marked_pids(SESSION_MARK, uuid) == []


def test_children_that_cleared_their_environment_die_as_well(tenant):
    uuid = tenant.start("env -i sleep 1000 & echo pid $!; wait")
    pid = int(tenant.printed(uuid, "pid").split()[1])
    eventually(lambda: SESSION_MARK.encode() not in Path(f"/proc/{pid}/environ").read_bytes())
    tenant.stop(uuid)
    eventually(lambda: not alive(pid))


def test_a_stopped_session_is_recent_and_no_longer_active(hire):
    tenant = hire(quirks=False)
    uuid = tenant.ready("echo last words")
    tenant.printed(uuid, "last words")
    tenant.stop(uuid, {"score": 4})
    assert tenant.listed() == []
    (record,) = tenant.get("/sessions?recent=true")
    assert record["uuid"] == uuid
    assert record["finished_at"] >= record["started_at"]
    assert record["termination_reason"] == 0
    assert tenant.entry(uuid)["termination_reason"] == "stopped by user"
    assert "ssh_direct" not in record
    assert tenant.logs(uuid, recent=True) == "last words\n"
    assert tenant.call("GET", f"/services/{uuid}/logs").status_code == 404
    assert tenant.info(uuid)["finished_at"]
    assert tenant.stop(uuid).status_code == 200
    assert tenant.entry(uuid)["score"] == 4
    assert tenant.entry(uuid)["stopped_by"] == "api"


def test_the_recent_list_holds_active_sessions_too_newest_first_and_those_without_an_end(hire):
    tenant = hire(quirks=False, room=20)
    ended, running = tenant.ready(), tenant.ready("sleep 1000")
    tenant.stop(ended)
    newest = tenant.start("sleep 1000")
    records = tenant.get("/sessions?recent=true")
    assert [record["uuid"] for record in records] == [newest, ended, running]
    assert ["finished_at" in record for record in records] == [False, True, False]
    assert "termination_reason" not in records[0]
    assert tenant.listed() == [running, newest]


def test_the_recent_list_ends_after_fifty(hire):
    tenant = hire(quirks=False, room=60, start_delay_s=10_000)
    uuids = [tenant.start() for _ in range(52)]
    assert [record["uuid"] for record in tenant.get("/sessions?recent=true")] == uuids[:1:-1]
    assert tenant.listed() == uuids


def test_a_session_that_no_list_shows_yet_is_not_recent_either(tenant):
    tenant.emulator.faults({"kind": "late_listing", "seconds": 10_000})
    tenant.start()
    assert tenant.get("/sessions?recent=true") == tenant.get("/sessions") == []


def test_some_stopped_sessions_are_forgotten_by_info_and_stop(tenant):
    uuids = [tenant.start() for _ in range(2)]
    for uuid in uuids:
        tenant.stop(uuid)
    assert sorted(tenant.call("GET", f"/services/{uuid}/info").status_code for uuid in uuids) == [200, 404]
    assert sorted(tenant.stop(uuid).status_code for uuid in uuids) == [200, 404]


def test_two_stops_at_once_end_it_once(hire):
    tenant = hire(quirks=False)
    uuid = tenant.ready("trap '' TERM; echo up; while :; do sleep 0.1; done")
    tenant.printed(uuid, "up")
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: tenant.stop(uuid).status_code, range(4)))
    assert answers == [200] * 4
    assert tenant.entry(uuid)["system"].count("session ended: stopped by user") == 1


def test_old_clients_stop_with_get(tenant):
    uuid = tenant.start()
    assert tenant.call("GET", f"/services/{uuid}/stop").status_code == 200
    assert tenant.listed() == []


def test_a_slow_stop_keeps_it_listed_and_billed_for_a_while(hire):
    patient = hire(stop_delay_s=10_000, quirks=False)
    held = patient.ready()
    assert patient.stop(held).status_code == 200
    assert patient.listed() == [held]
    tenant = hire(stop_delay_s=0.8, quirks=False)
    uuid = tenant.ready()
    assert tenant.stop(uuid).status_code == 200
    eventually(lambda: tenant.listed() == [])
    assert tenant.entry(uuid)["billed_ms"] >= 800


def test_one_that_is_on_its_way_out_no_longer_says_that_it_is_coming_up(hire):
    tenant = hire(start_delay_s=0.3, stop_delay_s=10_000, quirks=False)
    uuid = tenant.start()
    tenant.stop(uuid)
    eventually(lambda: "service configured" in tenant.entry(uuid)["system"])
    assert tenant.entry(uuid)["progress"] == "stopping"


def test_it_can_be_stopped_before_it_is_ready(hire):
    tenant = hire(start_delay_s=10_000)
    uuid = tenant.start("echo never")
    tenant.stop(uuid)
    assert tenant.listed() == []
    assert tenant.logs(uuid, recent=True) == ""


@pytest.mark.parametrize("body", [{"score": 0}, {"score": 6}, {"score": "5"}, {"score": True}, [1]])
def test_an_impossible_score_is_refused_and_stops_nothing(tenant, body):
    uuid = tenant.start()
    assert tenant.stop(uuid, body).status_code == 422
    assert tenant.listed() == [uuid]
    assert tenant.stop(uuid, {}).status_code == 200


@pytest.mark.parametrize("path", ["info", "logs", "stop"])
def test_an_unknown_session_is_not_found(tenant, path):
    method = "POST" if path == "stop" else "GET"
    answer = tenant.call(method, f"/services/00000000-0000-4000-8000-000000000000/{path}")
    assert answer.status_code == 404
    assert answer.json() == {"message": "Session not found"}


def test_half_a_dozen_sessions_show_every_documented_form(hire):
    tenant = hire(room=20)
    answers = [tenant.post(ports=[22]) for _ in range(6)]
    flags = set()

    def all_up():
        records = tenant.get("/sessions")
        flags.update(r["is_ready"] for r in records if "ssh_direct" in r)
        return all(r["progress"] != "queued" and "ssh_direct" in r for r in records)

    eventually(all_up)
    # The flag may come after the text, and comes.
    assert None in flags
    eventually(lambda: all(r["is_ready"] is True for r in tenant.get("/sessions")))
    records = tenant.get("/sessions")
    for name in ("duration", "tx", "rx", "charge_amount"):
        assert {type(record[name]) for record in records} == {int, str}, name
    for name in ("ports_matrix", "urls"):
        assert {type(record[name]) for record in records} == {dict, str}, name
    assert {type(record["container_id"]) for record in records} == {list, str}
    assert {type(record["started_at"]) for record in records} == {int, str}
    assert {record["progress"] for record in records} == {"service configured", "Configured", "running", "READY"}
    # The TypeScript SDK reads the uuid from an array, and only from there.
    assert all(answer.json()[0].keys() == {"id", "uuid"} for answer in answers)
    assert {answer.status_code for answer in answers} == {200, 201}
    for record in records:
        tenant.stop(record["uuid"])
    ended = tenant.get("/sessions?recent=1")
    assert {type(r["termination_reason"]) for r in ended} == {int, str}
    assert {int(r["termination_reason"]) for r in ended} == {0}


def test_without_quirks_every_form_is_the_plain_one(hire):
    tenant = hire(room=20, quirks=False)
    for _ in range(4):
        tenant.ready()
    for record in tenant.get("/sessions"):
        assert isinstance(record["charge_amount"], int)
        assert isinstance(record["started_at"], int)
        assert isinstance(record["ports_matrix"], dict)
        assert record["is_ready"] is True
        assert record["progress"] == "service configured"


def test_a_full_node_rejects_a_machine_with_http_200_and_render_and_vpn_with_400(hire):
    tenant = hire(room=1)
    tenant.start()
    answer = tenant.post()
    assert answer.status_code == 200
    assert answer.json() == [{"id": 0, "status": 1, "reason": "Node is busy"}]
    render = tenant.call("POST", "/services/render", {"node_id": 1001, "disk_size": 1})
    assert render.status_code == 400
    assert render.json() == {"message": "Node is busy"}
    bare = tenant.call("POST", "/services/mr", tenant.order()[0])
    assert (bare.status_code, bare.json()) == (400, {"message": "Node is busy"})


def test_some_nodes_answer_500_instead(hire):
    tenant = hire(room=0, machines=30)
    statuses = {tenant.post(node_id=1001 + index).status_code for index in range(30)}
    assert statuses == {200, 500}
    assert tenant.emulator.ledger()["sessions"] == []


def test_the_unavailable_node_answers_500_though_empty(tenant):
    answers = [tenant.post(node_id=1001 + index) for index in range(12)]
    failed = [answer for answer in answers if answer.status_code == 500]
    assert [answer.json() for answer in failed] == [{"code": "INTERNAL_ERROR"}]


def test_an_unknown_node_and_a_full_disk_are_rejections(tenant):
    assert tenant.post(node_id=5).json()[0]["reason"] == "Node not found"
    tenant.start(disk_size=400)
    assert tenant.post(disk_size=200).json()[0]["reason"] == "Not enough disk space"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"node_id": "1001"}, "node_id must be an integer"),
        ({"node_id": True}, "node_id must be an integer"),
        ({"image": ""}, "image must not be empty"),
        ({"image": 5}, "image must be a string"),
        ({"disk_size": "10"}, "disk_size must be a number of GB"),
        ({"disk_size": 0}, "disk_size must be above 0 and at most 100000 GB"),
        ({"envs": []}, "envs must be an object"),
        ({"envs": {"A=B": "x"}}, "envs: 'A=B' is not a name"),
        ({"envs": {"A": None}}, "envs: the value of A must be a string or a number"),
        ({"ports": "22"}, "ports must be a list of ports"),
        ({"http_ports": [70000]}, "http_ports: 70000 is not a port"),
        ({"app": "nope"}, "app nope does not exist"),
        ({"start_command": "a\0b"}, "start_command must not contain a zero byte"),
        ({"entrypoint": "echo 'x"}, "entrypoint and start_command: No closing quotation"),
        ({"entrypoint": " "}, "entrypoint must not be blank"),
    ],
)
def test_bad_input_gets_422_with_a_message(tenant, change, message):
    answer = tenant.post(**change)
    assert answer.status_code == 422
    assert answer.json() == {"message": message}


@pytest.mark.parametrize("body", [[], [{}, {}], [1], "x", None, 5])
def test_a_start_wants_an_array_of_one_item(tenant, body):
    assert tenant.call("POST", "/services/mr", body).status_code == 422


def test_a_bare_item_is_taken_as_well(tenant):
    assert tenant.call("POST", "/services/mr", tenant.order()[0]).status_code in (200, 201)
    assert len(tenant.listed()) == 1


def test_an_app_brings_its_image_and_command(tenant):
    app = next(app for app in tenant.get("/apps") if app["name"] == "ComfyUI")
    uuid = tenant.start(app=app["uuid"], image="", start_command="")
    assert tenant.info(uuid)["app_name"] == "ComfyUI"
    assert tenant.entry(uuid)["image"] == "octa/comfyui"


def test_a_render_session_idles_with_its_environment(tenant):
    body = {"node_id": 1002, "disk_size": 5, "envs": {"OCTA_RENTAL_KEY": "k"}, "multi-gpu-worker": True}
    uuid = tenant.call("POST", "/services/render", body).json()["uuid"]
    eventually(lambda: tenant.is_ready(uuid))
    info = tenant.info(uuid)
    assert info["service"] == "render"
    assert info["user_envs"] == {"OCTA_RENTAL_KEY": "k"}
    assert info["ssh_direct"]["port"] == info["ports_matrix"]["22"]
    assert tenant.logs(uuid) == ""


@pytest.mark.parametrize("body", [{"multi-gpu-worker": 1}, {"disk_size": float("inf")}, {"disk_size": None}])
def test_bad_render_input_is_refused(tenant, body):
    data = json.dumps({"node_id": 1001, "disk_size": 5} | body)
    assert tenant.emulator.request("POST", "/services/render", data=data).status_code == 422


@pytest.mark.parametrize("subkind", ["wg", "openvpn", "ss", "v2ray", "http_proxy"])
def test_a_vpn_gives_its_configuration_when_ready(tenant, subkind):
    body = {"node_id": 1001, "subkind": subkind} | ({"protocol": "vless"} if subkind == "v2ray" else {})
    uuid = tenant.call("POST", "/services/vpn", body).json()["uuid"]
    eventually(lambda: tenant.is_ready(uuid))
    config = tenant.info(uuid)["config"]
    assert isinstance(config, dict if subkind == "http_proxy" else str)
    if subkind == "v2ray":
        assert config.startswith("vless://")
    assert tenant.stop(uuid).status_code == 200
    assert tenant.listed() == []


@pytest.mark.parametrize(
    "body",
    [
        {"subkind": "ipsec"},
        {"subkind": ""},
        {"subkind": "v2ray", "protocol": "ss"},
        {"subkind": "wg", "protocol": "vless"},
        {"protocol": "vless"},
    ],
)
def test_bad_vpn_input_is_refused(tenant, body):
    assert tenant.call("POST", "/services/vpn", {"node_id": 1001} | body).status_code == 422


@pytest.mark.parametrize(
    ("body", "kind", "begins"),
    [({}, "wg", "[Interface]"), ({"subkind": None}, "wg", "[Interface]"), ({"subkind": "v2ray"}, "v2ray", "trojan://")],
)
def test_a_vpn_is_wireguard_and_v2ray_trojan_unless_told_otherwise(tenant, body, kind, begins):
    uuid = tenant.call("POST", "/services/vpn", {"node_id": 1001} | body).json()["uuid"]
    eventually(lambda: tenant.is_ready(uuid))
    info = tenant.info(uuid)
    assert info["kind"] == kind
    assert info["config"].startswith(begins)


def test_vpns_do_not_take_a_machines_room(hire):
    tenant = hire(room=1)
    body = {"node_id": 1001, "subkind": "wg"}
    assert all("uuid" in tenant.call("POST", "/services/vpn", body).json() for _ in range(50))
    full = tenant.call("POST", "/services/vpn", body)
    assert (full.status_code, full.json()) == (400, {"message": "Node is busy"})
    tenant.start()


def test_a_long_log_can_be_cut_at_the_front(hire):
    tenant = hire(log_limit_bytes=20)
    uuid = tenant.start("seq 1 1000; echo the end")
    tenant.printed(uuid, "the end")
    assert tenant.logs(uuid) == "98\n999\n1000\nthe end\n"


def test_bytes_that_are_no_text_do_not_hide_the_log(tenant):
    uuid = tenant.start(r"printf 'a\377b\033[0m'; echo c")
    assert tenant.printed(uuid, "c\n") == "a\ufffdb\033[0mc\n"


def test_a_thousand_sessions_are_listed_quickly(hire):
    tenant = hire(room=1000, start_delay_s=10_000, balance_octa=10**6)
    for _ in range(400):
        tenant.start(disk_size=0.01)
    started = time.process_time()
    assert len(tenant.listed()) == 400
    assert time.process_time() - started < 10


def test_a_session_that_cannot_be_set_up_is_ended_by_the_platform(tenant, monkeypatch):
    async def full(self):
        raise OSError("No space left on device")

    monkeypatch.setattr(Container, "open", full)
    uuid = tenant.start()
    eventually(lambda: tenant.listed() == [])
    assert tenant.entry(uuid)["termination_reason"] == "start failed"
    assert "No space left" in tenant.system(uuid)


def test_session_folders_are_private(tenant):
    assert tenant.emulator.state.stat().st_mode & 0o077 == 0
    assert tenant.emulator.ssh_private_key.stat().st_mode & 0o777 == 0o600
