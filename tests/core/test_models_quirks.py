"""Each model, from the literal payloads that the API sends."""

from __future__ import annotations

import base64
import gzip
import io
import os
import pickle
import subprocess
import sys
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest

from octa_provider.errors import OctaDecodeError, OctaRejectedError
from octa_provider.models import (
    Account,
    App,
    Balance,
    Endpoint,
    Gpu,
    IdleJob,
    IdleJobLogs,
    Logs,
    Machine,
    Network,
    Node,
    Proxy,
    Reliability,
    Session,
    SessionPhase,
    StartedSession,
    SystemEntry,
    VpnMachine,
    Wallet,
    idle_job,
)

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=timezone.utc)
NOON_MS = 1714564800000


def machine(**fields: Any) -> Machine:
    return Machine.from_payload({"node_id": 7, **fields})


def session(**fields: Any) -> Session:
    return Session.from_payload({"uuid": "u-1", **fields})


# --- all of them


def test_importing_the_models_imports_no_requests() -> None:
    code = "import octa_provider.models, sys; sys.exit('requests' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def test_unknown_fields_stay_in_raw() -> None:
    assert machine(invented={"tomorrow": 1}).raw["invented"] == {"tomorrow": 1}


def test_raw_and_the_users_secrets_are_not_in_the_repr() -> None:
    shown = repr(session(user_envs={"TOKEN": "s3cret"}, config="PrivateKey = s3cret", node_id=7))
    assert shown.startswith("Session(uuid='u-1', ")
    assert "node_id=7" in shown
    assert "s3cret" not in shown


def test_a_model_is_frozen_and_can_be_pickled_and_compared() -> None:
    one = machine(total_price_usd=0.62, gpus=[{"model": "RTX 4090", "mem_total_mb": 24564}])
    with pytest.raises(AttributeError):
        one.node_id = 8  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(one)) == one
    assert msgspec.structs.replace(one, price_usd=1.0).price_usd == 1.0


# --- account


def test_an_account_balance_is_wei_as_number_or_text() -> None:
    for balance in (31428028938060847852, "31428028938060847852"):
        account = Account.from_payload(
            {"account_uuid": "a-1", "uid": 12, "email": "me@example.org", "balance": balance}
        )
        assert account.balance_wei == 31428028938060847852
        assert (account.account_uuid, account.uid, account.email) == ("a-1", "12", "me@example.org")
        assert Balance.from_payload({"balance": balance, "currency": "OCTA"}).balance_wei == 31428028938060847852


def test_a_wallet_is_its_address() -> None:
    assert Wallet.from_payload({"address": "0xabc"}).address == "0xabc"
    assert Wallet.from_payload({}).address is None


# --- machines


def test_a_machine_reads_the_documented_fields() -> None:
    found = machine(
        country="Germany",
        country_iso="DE",
        city="Berlin",
        cpu_model_name="AMD EPYC 7402P",
        cpu_cores=48,
        total_memory=137438953472,
        free_disk=900000000000,
        cuda_version="12.4",
        ai_score=12,
        blender_score=5678.9,
        total_price_usd=0.62,
        total_price_wei="31428028938060847852",
        base_usd=6200,
        storage_usd=10,
        traffic_usd=5,
        features=["docker"],
        available_ports=100,
        arch="x86_64",
        os_version="Ubuntu 22.04",
        virt="none",
    )
    assert (found.node_id, found.country_iso, found.cpu_cores, found.memory_bytes) == (7, "DE", 48, 137438953472)
    assert (found.price_usd, found.price_wei) == (0.62, 31428028938060847852)
    assert (found.base_usd, found.storage_usd, found.traffic_usd) == (0.62, 0.001, 0.0005)
    assert (found.features, found.available_ports, found.cuda_version) == (("docker",), 100, "12.4")


def test_a_machine_without_node_id_is_an_error() -> None:
    for payload in ({}, {"node_id": None}, {"node_id": "x"}):
        with pytest.raises(OctaDecodeError, match="machine: no node_id"):
            Machine.from_payload(payload)
    with pytest.raises(OctaDecodeError, match="VPN machine: no node_id"):
        VpnMachine.from_payload({})


def test_a_machine_may_lack_everything_else() -> None:
    bare = machine()
    assert (bare.price_usd, bare.price_wei, bare.blender_score, bare.reliability) == (None, None, None, None)
    assert (bare.gpu_count, bare.gpu_model, bare.gpu_memory_mb) == (0, None, None)


def test_the_first_card_names_the_model_and_the_smallest_the_memory() -> None:
    found = machine(gpus=[{"model": "RTX 4090", "mem_total_mb": 24564}, {"model": "RTX 3060", "mem_total_mb": "12288"}])
    assert (found.gpu_count, found.gpu_model, found.gpu_memory_mb) == (2, "RTX 4090", 12288)
    assert found.gpus[0].raw == {"model": "RTX 4090", "mem_total_mb": 24564}


@pytest.mark.parametrize(
    ("payload", "models"),
    [
        ({"gpu": {"nvidia": [{"model": "RTX 4090"}], "amd": [], "intel": [{"model": "A770"}]}}, ["RTX 4090", "A770"]),
        ({"gpus": None, "gpu": {"nvidia": ["RTX 4090"], "amd": None}}, ["RTX 4090"]),
        ({"gpu": '{"nvidia": [{"model": "RTX 4090"}]}'}, ["RTX 4090"]),
        ({"gpu": "RTX 4090"}, ["RTX 4090"]),
        ({"gpu": ""}, []),
        ({"gpu": {"nvidia": []}}, []),
        ({"gpus": '[{"model": "RTX 4090"}]'}, ["RTX 4090"]),
        ({"gpus": ["RTX 4090", {"mem_total_mb": 5}, {}, None, 7]}, ["RTX 4090", ""]),
        ({"gpus": [{"model": "RTX 4090"}], "gpu": "RTX 4090"}, ["RTX 4090"]),
        ({"gpus": 5, "gpu": 5}, []),
    ],
)
def test_missing_gpus_fall_back_on_the_deprecated_field(payload: dict[str, Any], models: list[str]) -> None:
    assert [gpu.model for gpu in machine(**payload).gpus] == models


def test_a_card_without_a_name_has_no_model() -> None:
    assert machine(gpus=[{"mem_total_mb": 8192}]).gpu_model is None


def test_bandwidth_in_bytes_per_second_becomes_mbit() -> None:
    found = machine(net_down_mbits=117500000, net_up_mbits=880)
    assert (found.net_down_mbps, found.net_up_mbps) == (940.0, 880.0)


def test_the_price_in_wei_falls_back_on_the_ether() -> None:
    assert machine(total_price_ether=0.5).price_wei == 5 * 10**17
    assert machine(total_price_wei=0, total_price_ether=0.5).price_wei == 0


@pytest.mark.parametrize(
    ("sent", "version"), [("12.4", "12.4"), (12.4, "12.4"), (12, "12"), (None, None), (True, None)]
)
def test_a_cuda_version_is_text(sent: object, version: str | None) -> None:
    assert machine(cuda_version=sent).cuda_version == version


def test_available_ports_are_counted_when_listed() -> None:
    assert machine(available_ports=[10001, 10002]).available_ports == 2


def test_reliability_is_an_object_or_a_bare_number() -> None:
    sent = {"uptime": 99.5, "stability": "98", "s_avg_d": 3600, "s_max_d": 7200, "s_normal": 100, "s_failed": 2}
    found = machine(reliability={**sent, "rating": {"count": 10, "score": 4.8}}).reliability
    assert found is not None
    assert (found.uptime, found.stability, found.score, found.count) == (99.5, 98.0, 4.8, 10)
    assert (found.session_mean_s, found.session_longest_s) == (3600.0, 7200.0)
    assert (found.sessions_normal, found.sessions_failed) == (100, 2)
    assert machine(reliability=99.5).reliability == Reliability(stability=99.5)
    assert machine(reliability="99.5").reliability == Reliability(stability=99.5)
    assert machine(reliability={"rating": 4.8}).reliability.score == 4.8  # type: ignore[union-attr]
    assert machine(reliability="good").reliability is None


def test_a_vpn_machine_reads_the_price_of_traffic_in_wei() -> None:
    found = VpnMachine.from_payload(
        {
            "node_id": "9",
            "latitude": "52.5",
            "longitude": 13.4,
            "net_down_mbits": 117500000,
            "residential": "true",
            "traffic_price_usd": 0.01,
            "traffic_price_ether": 0.4,
        }
    )
    assert (found.node_id, found.latitude, found.net_down_mbps, found.residential) == (9, 52.5, 940.0, True)
    assert (found.traffic_price_usd, found.traffic_price_wei) == (0.01, 4 * 10**17)


def test_an_app_opens_ports_sent_as_json_strings() -> None:
    app = App.from_payload(
        {
            "uuid": "app-1",
            "name": "Jupyter",
            "image": "jupyter:latest",
            "ports": "[5000,6000]",
            "http_ports": "",
            "envs": {"TOKEN": None, "WORKERS": 4},
            "extra": {"min_disk_size": 20},
            "personal": False,
            "start_command": None,
        }
    )
    assert (app.ports, app.http_ports) == ([5000, 6000], [])
    assert app.envs == {"TOKEN": "", "WORKERS": "4"}
    assert (app.min_disk_gb, app.personal, app.start_command) == (20.0, False, "")


def test_the_defaults_of_two_apps_are_not_shared() -> None:
    one, two = App(), App()
    one.ports.append(1)
    assert two.ports == []


# --- network and nodes


def test_network_statistics_may_lack_any_part() -> None:
    network = Network.from_payload(
        {
            "blockchain": {"height": 5, "difficulty": "31428028938060847852", "blocktime": 13.2, "era": 1},
            "market_price": 0.02,
            "mmROI": 3.5,
            "nodes": {"count": 100, "vpn": 20},
            "power": {"cpus": 900, "gpus": 300, "disk": 1, "mem": 2},
            "marketplace": {"gpus": {"RTX 4090": {"avg_price": 0.4, "count": 12}, "odd": 5}},
            "render": {"frames_24h": 100, "frames_total": "5000"},
            "platform": {"version": 1},
        }
    )
    assert (network.height, network.difficulty, network.nodes_count, network.vpn_count) == (
        5,
        31428028938060847852,
        100,
        20,
    )
    assert (network.market_price, network.mm_roi, network.power_gpus) == (0.02, 3.5, 300)
    assert (network.gpus["RTX 4090"].count, network.gpus["RTX 4090"].avg_price) == (12, 0.4)
    assert "odd" not in network.gpus
    assert (network.frames_24h, network.frames_total, network.platform) == (100, 5000, None)
    assert Network.from_payload({}).gpus == {}


def test_a_node_reads_alike_from_both_envelopes() -> None:
    listed = Node.from_payload(
        {
            "id": 7,
            "ip": "192.0.2.1",
            "state": 1,
            "osn": "1.2.3",
            "uptime": "86400",
            "location": {"city": "Berlin", "country": "Germany"},
            "prices": {"base": "31428028938060847852", "storage": 5, "traffic": 1e18},
            "system": {"cpu_cores": 8},
        }
    )
    detail = Node.from_payload(
        {"node_id": 7, "country": "Germany", "data": {"cpu_cores": 8}, "reliability": 99, "features": ["vpn"]}
    )
    assert listed.node_id == detail.node_id == 7
    assert listed.system == detail.system == {"cpu_cores": 8}
    assert listed.country == detail.country == "Germany"
    assert (listed.state, listed.uptime_s, listed.city) == ("1", 86400, "Berlin")
    assert listed.prices is not None
    assert (listed.prices.base_wei, listed.prices.storage_wei) == (31428028938060847852, 5)
    assert listed.prices.traffic_wei == 10**18
    assert detail.prices is None
    assert detail.reliability == Reliability(stability=99.0)
    assert detail.features == ("vpn",)


# --- sessions


def test_a_session_reads_strings_where_numbers_belong() -> None:
    found = session(
        duration="3600", tx="10", rx="20", charge_amount="31428028938060847852", node_id="7", is_ready="true"
    )
    assert (found.duration_s, found.tx_bytes, found.rx_bytes, found.node_id) == (3600, 10, 20, 7)
    assert found.charge_wei == 31428028938060847852
    assert found.is_ready


def test_a_session_without_uuid_is_an_error() -> None:
    for payload in ({}, {"uuid": None}, {"uuid": " "}, {"uuid": 5}):
        with pytest.raises(OctaDecodeError, match="session: no uuid"):
            Session.from_payload(payload)


@pytest.mark.parametrize("sent", [NOON_MS, str(NOON_MS), "2024-05-01T12:00:00Z"])
def test_a_session_starts_at_milliseconds_or_iso_text(sent: object) -> None:
    assert session(started_at=sent).started_at == NOON


def test_ports_matrix_and_urls_open_from_json_strings() -> None:
    found = session(ports_matrix='{"22": 10022}', urls='{"8080": "https://a.example"}')
    assert (found.ports, found.urls) == ({22: 10022}, {8080: "https://a.example"})


@pytest.mark.parametrize(
    ("sent", "endpoint"),
    [
        ({"host": "ssh.example", "port": 10022}, Endpoint(host="ssh.example", port=10022)),
        ({"host": "ssh.example", "port": "10022"}, Endpoint(host="ssh.example", port=10022)),
        ('{"host": "ssh.example", "port": 10022}', Endpoint(host="ssh.example", port=10022)),
        ({"host": "ssh.example"}, None),
        ({"host": "", "port": 22}, None),
        ({"host": "ssh.example", "port": 0}, None),
        (None, None),
        ("ssh.example", None),
    ],
)
def test_an_ssh_endpoint_is_whole_or_none(sent: object, endpoint: Endpoint | None) -> None:
    assert session(ssh_direct=sent).ssh_direct == endpoint
    assert session(ssh_proxy=sent).ssh_proxy == endpoint


@pytest.mark.parametrize(
    ("sent", "config"),
    [
        ("[Interface]\nPrivateKey = x", "[Interface]\nPrivateKey = x"),
        ('{"ip": "192.0.2.1", "port": 3128}', '{"ip": "192.0.2.1", "port": 3128}'),
        ({"ip": "192.0.2.1", "port": "3128"}, Proxy(ip="192.0.2.1", port=3128)),
        ({"ip": "192.0.2.1"}, None),
        ("", None),
        (5, None),
    ],
)
def test_a_vpn_config_is_text_or_a_proxy(sent: object, config: object) -> None:
    assert session(config=sent).config == config


@pytest.mark.parametrize(("sent", "ids"), [("c-1", ("c-1",)), (["c-1", "c-2"], ("c-1", "c-2")), (None, ())])
def test_a_container_id_is_a_string_or_an_array(sent: object, ids: tuple[str, ...]) -> None:
    assert session(container_id=sent).container_ids == ids


@pytest.mark.parametrize(("sent", "reason"), [(3, "3"), ("expired", "expired"), (None, None), ([], None)])
def test_a_termination_reason_is_an_int_or_a_string(sent: object, reason: str | None) -> None:
    assert session(termination_reason=sent).termination_reason == reason


def test_the_prices_of_a_session_count_ten_thousandths() -> None:
    prices = session(prices={"base_usd": 6200, "currency_usd": True, "market_price": "0.02"}).prices
    assert prices is not None
    assert (prices.base_usd, prices.currency_usd, prices.market_price) == (0.62, True, 0.02)
    assert session(prices=[]).prices is None


def test_the_hardware_of_a_session_is_read() -> None:
    hardware = session(
        node_hw={"cpu": "EPYC", "cpu_cores": "8", "gpu": [{"model": "RTX 4090"}], "total_memory": 5, "disk": 6}
    ).hardware
    assert hardware is not None
    assert (hardware.cpu, hardware.cpu_cores, hardware.memory_bytes, hardware.disk) == ("EPYC", 8, 5, 6)
    assert [gpu.model for gpu in hardware.gpus] == ["RTX 4090"]
    assert session(node_hw=None).hardware is None


def test_the_private_address_is_never_taken_for_the_public_one() -> None:
    behind = session(ip="10.0.0.1")
    assert (behind.ip, behind.public_ip) == ("10.0.0.1", None)
    both = session(public_ip="192.0.2.2", ip="10.0.0.1")
    assert (both.ip, both.public_ip) == ("10.0.0.1", "192.0.2.2")


@pytest.mark.parametrize(
    ("sent", "envs"),
    [
        ({"A": "1", "B": None, "C": 2}, {"A": "1", "B": "", "C": "2"}),
        ('{"A": "1"}', {"A": "1"}),
        ({}, {}),
        ("{}", {}),
        (None, None),
        ([], None),
        ("", None),
        (5, None),
    ],
)
def test_an_environment_that_is_not_echoed_is_none(sent: object, envs: dict[str, str] | None) -> None:
    assert session(user_envs=sent).user_envs == envs


def test_the_rental_key_is_read_from_the_echoed_environment() -> None:
    assert session(user_envs={"OCTA_RENTAL_KEY": "airflow/d/r/t/0"}).rental_key == "airflow/d/r/t/0"
    assert session(user_envs={"A": "1"}).rental_key is None
    assert session(user_envs={}).rental_key is None
    assert session().rental_key is None


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"is_ready": True}, SessionPhase.READY),
        ({"is_ready": 1}, SessionPhase.READY),
        ({"is_ready": True, "progress": "starting"}, SessionPhase.READY),
        *[
            ({"progress": word}, SessionPhase.READY)
            for word in ("service configured", "configured", "running", "ready")
        ],
        ({"progress": "Service Configured"}, SessionPhase.READY),
        ({"progress": " RUNNING "}, SessionPhase.READY),
        ({"progress": "not running"}, SessionPhase.UNKNOWN),
        ({"progress": "configuring service"}, SessionPhase.STARTING),
        *[
            ({"progress": f"Now {part}ing"}, SessionPhase.STARTING)
            for part in [
                "prepar",
                "config",
                "start",
                "deploy",
                "queue",
                "provision",
                "pending",
                "build",
                "pull",
                "create",
                "init",
            ]
        ],
        ({"progress": "PULLING image"}, SessionPhase.STARTING),
        ({"progress": "meditating"}, SessionPhase.UNKNOWN),
        ({"progress": 45}, SessionPhase.UNKNOWN),
        ({}, SessionPhase.UNKNOWN),
        ({"is_ready": False, "progress": None}, SessionPhase.UNKNOWN),
        ({"is_ready": True, "finished_at": NOON_MS}, SessionPhase.FINISHED),
        ({"finished_at": "2024-05-01T12:00:00Z", "progress": "starting"}, SessionPhase.FINISHED),
        ({"finished_at": 0, "is_ready": True}, SessionPhase.READY),
        ({"finished_at": None, "is_ready": True}, SessionPhase.READY),
    ],
)
def test_the_phase_follows_the_documented_rule(fields: dict[str, Any], phase: SessionPhase) -> None:
    found = session(**fields)
    assert found.phase is phase
    assert found.phase != SessionPhase.READY or found.is_ready


def test_a_session_and_its_log_tell_their_times_in_seconds_or_in_milliseconds() -> None:
    in_seconds = session(started_at=NOON_MS // 1000, finished_at=str(NOON_MS // 1000))
    assert (in_seconds.started_at, in_seconds.finished_at) == (NOON, NOON)
    assert session(started_at=NOON_MS).started_at == NOON
    logs = Logs.from_payload({"system": [{"ts": NOON_MS // 1000, "msg": "a"}, {"ts": NOON_MS, "msg": "b"}]})
    assert [entry.at for entry in logs.system] == [NOON, NOON]


# --- logs


def test_logs_carry_the_containers_text_and_the_system_entries() -> None:
    logs = Logs.from_payload(
        {"container": "frame 1\nframe 2\n", "system": [{"ts": NOON_MS, "msg": "pulling"}, {"ts": None, "msg": "ready"}]}
    )
    assert logs.container == "frame 1\nframe 2\n"
    assert logs.system == (SystemEntry(at=NOON, message="pulling"), SystemEntry(message="ready"))


def test_odd_log_parts_are_left_out() -> None:
    assert Logs.from_payload({"container": None, "system": None}).container == ""
    assert Logs.from_payload({"container": ["a", 5, "b"]}).container == "a\nb"
    assert [entry.message for entry in Logs.from_payload({"system": "one\ntwo"}).system] == ["one", "two"]
    assert [entry.message for entry in Logs.from_payload({"system": '[{"msg": "one"}]'}).system] == ["one"]
    odd = Logs.from_payload({"system": [None, 5, {}, {"msg": ""}, "plain", {"ts": NOON_MS, "msg": 5}]})
    assert odd.system == (SystemEntry(message="plain"), SystemEntry(at=NOON, message=""))


def test_an_idle_job_tells_whether_it_is_up() -> None:
    job = IdleJob.from_payload({"is_up": "true", "uptime": "60", "error": None})
    assert (job.is_up, job.uptime_s, job.error) == (True, 60, None)
    assert IdleJob.from_payload({"is_up": False, "error": "exit 1"}).error == "exit 1"


def packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data)).decode()


def test_idle_job_logs_are_unpacked_from_gzip_in_base64() -> None:
    logs = IdleJobLogs.from_payload({"data": packed("grüße\n".encode())})
    assert (logs.text, logs.truncated) == ("grüße\n", False)
    assert "grüße" not in repr(logs)


def test_idle_job_logs_may_be_wrapped_and_in_several_members() -> None:
    both = base64.encodebytes(gzip.compress(b"one\n") + gzip.compress(b"") + gzip.compress(b"two\n")).decode()
    assert IdleJobLogs.from_payload({"data": both}).text == "one\ntwo\n"


def test_idle_job_logs_may_be_a_list_of_lines() -> None:
    lines = [{"line": 1, "text": "one\n"}, {"line": 2, "text": "two"}, "three", {"line": 4}, 5]
    assert IdleJobLogs.from_payload({"data": lines}).text == "one\ntwo\nthree\n\n"
    assert IdleJobLogs.from_payload(lines).text == "one\ntwo\nthree\n\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("plain text", "plain text"),
        ("", ""),
        (None, ""),
        (5, ""),
        ("H4sI", ""),
        ("H4sIüüüü", "H4sIüüüü"),
    ],
)
def test_idle_job_logs_that_are_not_packed_are_taken_as_they_are(data: object, text: str) -> None:
    assert IdleJobLogs.from_payload({"data": data}).text == text


def test_a_gzip_bomb_is_cut_at_the_cap() -> None:
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=9) as file:
        for _ in range(80):
            file.write(bytes(1024 * 1024))
    data = base64.b64encode(bomb.getvalue()).decode()
    assert len(data) < 200_000
    logs = IdleJobLogs.from_payload({"data": data})
    assert len(logs.text) == idle_job.MAX_LOG_BYTES
    assert logs.truncated


def test_logs_of_exactly_the_cap_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_job, "MAX_LOG_BYTES", 10)
    assert IdleJobLogs.from_payload({"data": packed(b"0123456789")}).truncated is False
    cut = IdleJobLogs.from_payload({"data": packed(b"0123456789A")})
    assert (cut.text, cut.truncated) == ("0123456789", True)


def test_a_damaged_log_keeps_what_was_readable() -> None:
    whole = os.urandom(40_000).hex()
    data = gzip.compress(whole.encode())
    short = IdleJobLogs.from_payload({"data": base64.b64encode(data[:20_000]).decode()[:-1]})
    assert short.truncated
    assert len(short.text) > 10_000
    assert whole.startswith(short.text)
    spoilt = IdleJobLogs.from_payload({"data": base64.b64encode(data[:-8] + b"\xff" * 8).decode()})
    assert spoilt.truncated
    assert len(spoilt.text) > len(whole) - 1000
    assert whole.startswith(spoilt.text)


# --- starting


@pytest.mark.parametrize(
    "payload",
    [
        {"uuid": "u-1"},
        [{"uuid": "u-1"}],
        [{"id": 0, "uuid": " u-1 ", "status": 0}],
        [{"id": 1, "reason": "Node not found"}, {"uuid": "u-1"}],
    ],
)
def test_a_started_session_is_its_uuid(payload: object) -> None:
    assert StartedSession.from_payload(payload).uuid == "u-1"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ([{"id": 0, "status": 1, "reason": "Node not found"}], "Node not found"),
        ({"id": 0, "message": "Insufficient balance"}, "Insufficient balance"),
        ([{"uuid": "", "reason": "busy."}], "busy."),
        ([{"uuid": None, "error": "busy"}], "busy"),
        ([{"id": 0, "status": 1}], "status 1"),
        ({"status": "failed"}, "status failed"),
        ({"status": 1, "message": "ok"}, "status 1"),
    ],
)
def test_a_success_that_starts_nothing_is_a_rejection(payload: object, reason: str) -> None:
    with pytest.raises(OctaRejectedError) as caught:
        StartedSession.from_payload(payload, node_id=7)
    assert (caught.value.reason, caught.value.node_id) == (reason, 7)
    assert str(caught.value) == f"node 7 started nothing: {reason.rstrip('.')}. Try another machine."
    assert caught.value.body


def test_a_rejection_takes_the_node_from_the_answer_when_it_is_there() -> None:
    with pytest.raises(OctaRejectedError, match="node 9 started nothing") as caught:
        StartedSession.from_payload([{"node_id": 9, "reason": "busy"}])
    assert caught.value.node_id == 9
    with pytest.raises(OctaRejectedError, match=r"^the node started nothing"):
        StartedSession.from_payload([{"reason": "busy"}])


@pytest.mark.parametrize(
    "payload",
    [
        *([], {}, None, "ok", [None], [[]], [{"id": 0}], {"status": 0}, {"status": "ok"}, {"message": "success"}),
        # Somebody's in front of the API: a login page's, say.
        *({"message": "Please log in"}, {"error": "forbidden"}, [{"detail": "no"}]),
        # A status that says yes outweighs any words: a session may run, and must be looked for.
        {"status": "created", "message": "Session is being created"},
    ],
)
def test_an_answer_that_says_neither_is_unclear(payload: object) -> None:
    with pytest.raises(OctaDecodeError, match="may or may not run") as caught:
        StartedSession.from_payload(payload)
    assert caught.value.what == "start"


def test_a_card_is_told_by_its_fields() -> None:
    assert Gpu(model="RTX 4090", memory_mb=24564) == Gpu(model="RTX 4090", memory_mb=24564)
