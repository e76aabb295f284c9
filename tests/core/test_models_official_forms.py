"""Answers in the forms of the official clients' fixtures and types: nothing of them is lost or changed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from octa_provider.errors import OctaDecodeError
from octa_provider.models import (
    Account,
    App,
    Balance,
    IdleJob,
    IdleJobLogs,
    Logs,
    Machine,
    Network,
    Node,
    Reliability,
    Session,
    SessionPhase,
    VpnMachine,
    Wallet,
)

UTC = timezone.utc
APRIL = datetime(2026, 4, 15, tzinfo=UTC)


def session(**fields: Any) -> Session:
    return Session.from_payload({"uuid": "u-1", **fields})


# --- sessions


def test_urls_with_the_names_of_services_are_kept() -> None:
    assert session(urls={"jupyter": "https://u-1.example"}).urls == {"jupyter": "https://u-1.example"}


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"status": "running"}, SessionPhase.READY),
        ({"status": "Ready", "progress": ""}, SessionPhase.READY),
        ({"status": "running", "is_ready": False}, SessionPhase.UNKNOWN),
        ({"status": "running", "progress": "pulling image"}, SessionPhase.STARTING),
        ({"status": "starting"}, SessionPhase.STARTING),
        ({"status": "queued", "is_ready": False}, SessionPhase.STARTING),
        ({"status": "stopping"}, SessionPhase.STOPPING),
        ({"status": "terminating", "is_ready": True}, SessionPhase.STOPPING),
        ({"status": 1}, SessionPhase.UNKNOWN),
    ],
)
def test_a_status_speaks_where_no_progress_does(fields: dict[str, Any], phase: SessionPhase) -> None:
    assert session(**fields).phase is phase


def test_a_status_alone_is_told_as_the_progress() -> None:
    assert (session(status="failed").progress, session(status="failed").status) == ("failed", "failed")
    assert session(status="running", progress="pulling image").progress == "pulling image"


def test_a_session_tells_its_app_its_country_and_the_price_of_its_gpu() -> None:
    found = session(
        app_logo="https://a.example/logo.png",
        country_iso="DE",
        prices={"gpu_hour": 0.5, "cpu_hour": "0.1", "currency_usd": False},
    )
    assert (found.app_logo, found.country_iso) == ("https://a.example/logo.png", "DE")
    assert found.prices is not None
    assert (found.prices.gpu_hour, found.prices.cpu_hour, found.prices.currency_usd) == (0.5, 0.1, False)


@pytest.mark.parametrize(
    ("reason", "words"),
    [(0, "normal end"), ("0", "normal end"), (1, "idle limit"), (7, "error 7"), (-1, "error -1"), ("lost", "lost")],
)
def test_the_end_of_a_session_is_told_in_words(reason: object, words: str) -> None:
    assert session(termination_reason=reason).ended_because == words
    assert session().ended_because is None


# --- accounts


def test_a_new_wallet_may_be_named_wallet() -> None:
    wallet = Wallet.from_payload({"wallet": "0xabc", "network": "ETH"})
    assert (wallet.address, wallet.network) == ("0xabc", "ETH")
    assert Wallet.from_payload({"address": "0xnew", "wallet": "0xold"}).address == "0xnew"


# --- network


def test_network_statistics_in_the_ruby_form() -> None:
    found = Network.from_payload(
        {
            "blockchain": {"blocktime": 12.5, "circulating_supply": 42000000, "era": "Vega", "height": 9000000},
            "nodes": {"online": 90, "total": 110},
            "power": {"total_tflops": 5100.5, "utilized_tflops": 3200.0},
            "platform": {"total_jobs": 412},
        }
    )
    assert (found.era, found.circulating_supply, found.height) == ("Vega", 42000000, 9000000)
    assert (found.nodes_count, found.nodes_online) == (110, 90)
    assert (found.total_tflops, found.utilized_tflops, found.total_jobs) == (5100.5, 3200.0, 412)


def test_network_statistics_in_the_typescript_form() -> None:
    found = Network.from_payload(
        {
            "blockchain": {"era": 3, "hashrate": 9999},
            "nodes": {"count": 500, "vpn": 120},
            "power": {"disk": 1e12, "mem": 5e11},
            "platform": "2.1",
        }
    )
    assert (found.era, found.hashrate, found.nodes_count, found.nodes_online) == (3, 9999, 500, None)
    assert (found.power_disk, found.power_mem) == (10**12, 5 * 10**11)
    assert (found.platform, found.total_jobs) == ("2.1", None)


def test_network_statistics_that_stand_alone() -> None:
    nodes = Network.from_payload(
        {"total_nodes": 110, "online_nodes": 90, "total_gpu_count": 300, "available_gpu_count": 40, "regions": ["EU"]}
    )
    assert (nodes.nodes_count, nodes.nodes_online, nodes.power_gpus, nodes.gpus_available) == (110, 90, 300, 40)
    assert nodes.regions == ("EU",)
    power = Network.from_payload({"total_tflops": 12500.5, "available_tflops": 1840.0, "utilization_pct": 85.3})
    assert (power.total_tflops, power.available_tflops, power.utilization_percent) == (12500.5, 1840.0, 85.3)


# --- nodes

DETAIL = {
    "id": 42,
    "state": "idle",
    "ip": "192.0.2.1",
    "vrf_dt": "2026-04-15T00:00:00Z",
    "location": {"city": "Berlin", "country": "Germany", "latitude": 52.5, "longitude": 13.4},
    "reliability": 99.5,
    "data": {
        "cpu_cores": 32,
        "cpu_model_name": "AMD EPYC",
        "gpus": [{"model": "RTX 4090", "mem_total_mb": 24576, "mem_free_mb": 20000}],
        "disk": {"free": 1e11, "size": 2e11, "used_percent": 50},
        "memory": {"total_memory": 1e11, "free_memory": 8e10},
        "version": "0.0.73",
        "uptime": 86400,
    },
}


def test_a_nodes_detail_tells_its_software_uptime_and_hardware() -> None:
    found = Node.from_payload(DETAIL)
    assert (found.osn, found.uptime_s, found.verified_at) == ("0.0.73", 86400, APRIL)
    assert (found.cpu_model_name, found.cpu_cores) == ("AMD EPYC", 32)
    assert (found.memory_bytes, found.disk_bytes) == (10**11, 2 * 10**11)
    assert [(gpu.model, gpu.memory_mb, gpu.memory_free_mb) for gpu in found.gpus] == [("RTX 4090", 24576, 20000)]
    assert (found.latitude, found.longitude) == (52.5, 13.4)
    assert found.reliability == Reliability(stability=99.5)


def test_a_listed_node_tells_its_hardware_alike() -> None:
    found = Node.from_payload(
        {
            "id": 42,
            "osn": "Ubuntu 22.04",
            "uptime": 86400,
            "vrf_dt": 1776211200,
            "system": {"memory": {"free": 8e10, "size": 1e11}, "disk": {"size": 2e11}, "gpus": [{"model": "RTX 4090"}]},
        }
    )
    assert (found.osn, found.uptime_s, found.verified_at) == ("Ubuntu 22.04", 86400, APRIL)
    assert (found.memory_bytes, found.disk_bytes, len(found.gpus)) == (10**11, 2 * 10**11, 1)


def test_a_node_priced_by_the_hour_of_its_gpu() -> None:
    found = Node.from_payload(
        {"id": 1, "prices": {"gpu_hour": 0.5, "cpu_hour": 0.1}, "system": {"gpu": "RTX 4090", "cpu": "AMD EPYC"}}
    )
    assert found.prices is not None
    assert (found.prices.gpu_hour, found.prices.cpu_hour, found.prices.base_wei) == (0.5, 0.1, None)
    assert (found.cpu_model_name, [gpu.model for gpu in found.gpus]) == ("AMD EPYC", ["RTX 4090"])


# --- catalogues


def test_a_machine_tells_every_price_in_wei() -> None:
    found = Machine.from_payload(
        {
            "node_id": 7,
            "base": 50000000000000000,
            "base_ether": 0.05,
            "storage": "40000000000000000",
            "traffic_ether": 0.03,
            "market_price": 0.02,
            "currency_usd": True,
        }
    )
    assert (found.base_wei, found.storage_wei, found.traffic_wei) == (5 * 10**16, 4 * 10**16, 3 * 10**16)
    assert (found.market_price, found.currency_usd) == (0.02, True)


@pytest.mark.parametrize("price", [-1, "-1", None, "free"])
def test_a_price_in_wei_below_zero_is_none(price: object) -> None:
    found = Machine.from_payload({"node_id": 7, "total_price_wei": price, "base": price})
    assert (found.price_wei, found.base_wei) == (None, None)
    assert Machine.from_payload({"node_id": 7, "total_price_wei": 0}).price_wei == 0


def test_a_machine_tells_its_hardware_to_the_last_field() -> None:
    found = Machine.from_payload(
        {
            "node_id": 7,
            "cpu_speed": 3200,
            "cpu_vendor_id": "AuthenticAMD",
            "memory_type": "DDR4",
            "memory_speed": 3200,
            "is_has_gpu": True,
            "is_hive_os": False,
            "is_wsl": False,
            "blender_cpu_score": 1.5,
            "blender_cuda_score": 2.5,
            "blender_optix_score": 3.5,
        }
    )
    assert (found.cpu_speed, found.cpu_vendor_id, found.memory_type, found.memory_speed) == (
        3200,
        "AuthenticAMD",
        "DDR4",
        3200,
    )
    assert (found.has_gpu, found.is_hive_os, found.is_wsl) == (True, False, False)
    assert (found.blender_cpu_score, found.blender_cuda_score, found.blender_optix_score) == (1.5, 2.5, 3.5)


def test_a_vpn_machine_with_the_other_name_of_its_bandwidth() -> None:
    found = VpnMachine.from_payload({"node_id": 11, "net_down_mbs": 500, "net_up_mbs": 62500000})
    assert (found.net_down_mbps, found.net_up_mbps) == (500.0, 500.0)


def test_an_app_tells_its_version_and_what_it_needs() -> None:
    found = App.from_payload(
        {"id": 1, "uuid": "a-1", "version": "2.1", "docker_image": "a/b:2.1", "min_vram_gb": 8, "http_ports": "[8080]"}
    )
    assert (found.app_id, found.version, found.docker_image, found.min_vram_gb) == ("1", "2.1", "a/b:2.1", 8.0)
    assert found.http_ports == [8080]


# --- idle jobs


def test_an_idle_job_that_is_over_tells_when() -> None:
    found = IdleJob.from_payload(
        {
            "id": 42,
            "node_id": 69,
            "command": "python train.py",
            "status": "completed",
            "is_up": False,
            "created_at": "2026-04-15T00:00:00Z",
            "finished_at": 1776211200,
        }
    )
    assert (found.job_id, found.node_id, found.command, found.status) == ("42", 69, "python train.py", "completed")
    assert (found.is_up, found.created_at, found.finished_at) == (False, APRIL, APRIL)


# --- errors that come with 200

ERRORS = [
    {"error": "Mocked 200", "scenario": "slow"},
    {"error": {"message": "down"}},
    {"message": "Unauthorized"},
    {"detail": "gone"},
    {"code": "INTERNAL_ERROR", "balance": None, "address": None},
]


@pytest.mark.parametrize("model", [Account, Balance, Wallet, Network, Node, Logs, IdleJobLogs])
@pytest.mark.parametrize("answer", ERRORS)
def test_an_error_inside_a_200_is_an_error(model: type[Any], answer: dict[str, Any]) -> None:
    with pytest.raises(OctaDecodeError, match="error in its place") as caught:
        model.from_payload(answer)
    assert str(next(iter(answer.values()))) in caught.value.body


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (Account, {"email": "me@example.org", "error": "no avatar"}),
        (Balance, {"balance": 0, "message": "empty"}),
        (Network, {"market_price": 0.02, "error": None}),
        (Node, {"id": 7, "error": "GPU 1 is hot"}),
        (Logs, {"container": "", "message": "none yet"}),
        (Account, {}),
        (Network, {"error": ""}),
    ],
)
def test_an_answer_that_has_its_fields_may_tell_of_an_error_too(model: type[Any], answer: dict[str, Any]) -> None:
    assert model.from_payload(answer).raw == answer


def test_an_idle_job_tells_its_own_error() -> None:
    assert IdleJob.from_payload({"error": "exit status 1"}).error == "exit status 1"
