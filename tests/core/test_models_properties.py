"""Mutated payloads against every model: nothing but OctaDecodeError, and every attribute of its annotated type."""

from __future__ import annotations

import copy
import math
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from octa_provider.errors import OctaDecodeError, OctaError, OctaRejectedError
from octa_provider.models import (
    Account,
    App,
    Balance,
    IdleJob,
    IdleJobLogs,
    Logs,
    Machine,
    Model,
    Network,
    Node,
    Session,
    StartedSession,
    VpnMachine,
    Wallet,
    decode_json,
    decode_list,
)

NOON_MS = 1714564800000
MACHINE: dict[str, Any] = {
    "node_id": 7,
    "country": "Germany",
    "country_iso": "DE",
    "city": "Berlin",
    "cpu_model_name": "AMD EPYC 7402P",
    "cpu_cores": 48,
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
    "base": 50000000000000000,
    "base_ether": 0.05,
    "storage": "40000000000000000",
    "storage_ether": 0.04,
    "traffic": 30000000000000000,
    "traffic_ether": 0.03,
    "market_price": 0.02,
    "currency_usd": True,
    "total_memory": 137438953472,
    "free_disk": 900000000000,
    "arch": "x86_64",
    "os_version": "Ubuntu 22.04",
    "virt": "none",
    "cuda_version": "12.4",
    "gpus": [{"model": "RTX 4090", "mem_total_mb": 24564}],
    "gpu": {"nvidia": [{"model": "RTX 4090", "mem_total_mb": 24564}], "amd": [], "intel": []},
    "ai_score": 12.5,
    "blender_score": 5678.9,
    "net_down_mbits": 117500000,
    "net_up_mbits": 880,
    "total_price_usd": 0.62,
    "total_price_wei": 31428028938060847852,
    "total_price_ether": 31.4,
    "base_usd": 6200,
    "storage_usd": 10,
    "traffic_usd": 5,
    "reliability": {
        "uptime": 99.5,
        "stability": 98,
        "s_avg_d": 1,
        "s_max_d": 2,
        "s_normal": 3,
        "s_failed": 4,
        "rating": {"count": 10, "score": 4.8},
    },
    "features": ["docker"],
    "available_ports": 100,
}
SESSION: dict[str, Any] = {
    "uuid": "u-1",
    "service": "mr",
    "kind": "wg",
    "app_name": "Blender",
    "app_logo": "https://a.example/logo.png",
    "country_iso": "DE",
    "status": "running",
    "node_id": 7,
    "progress": "running",
    "is_ready": True,
    "duration": "3600",
    "started_at": NOON_MS,
    "finished_at": "2024-05-01T12:00:00Z",
    "termination_reason": 3,
    "public_ip": "192.0.2.1",
    "ip": "192.0.2.1",
    "country": "Germany",
    "city": "Berlin",
    "ports_matrix": '{"22": 10022}',
    "urls": {"8080": "https://a.example"},
    "ssh_direct": {"host": "ssh.example", "port": "10022"},
    "ssh_proxy": {"host": "ssh.example", "port": 10022},
    "ssh_web": "https://web.example",
    "config": {"ip": "192.0.2.1", "port": 3128},
    "tx": "10",
    "rx": 20,
    "charge_amount": "31428028938060847852",
    "user_envs": {"OCTA_RENTAL_KEY": "airflow/d/r/t/0", "N": None},
    "container_id": ["c-1"],
    "node_hw": {"cpu": "EPYC", "cpu_cores": 8, "gpu": [{"model": "RTX 4090"}], "total_memory": 5, "disk": 6},
    "prices": {"base_usd": 6200, "currency_usd": True, "market_price": 0.02, "gpu_hour": 0.5, "cpu_hour": 0.1},
}
PAYLOADS: list[tuple[type[Any], Any]] = [
    (
        Account,
        {
            "account_uuid": "a-1",
            "email": "me@example.org",
            "uid": 12,
            "wallet": "0xabc",
            "balance": "31428028938060847852",
            "ref_code": "r",
            "avatar": "https://a.example",
        },
    ),
    (Balance, {"balance": 31428028938060847852, "currency": "OCTA"}),
    (Wallet, {"address": "0xabc", "wallet": "0xabc"}),
    (
        Network,
        {
            "blockchain": {
                "height": 5,
                "difficulty": 6,
                "hashrate": 7,
                "total_supply": 8,
                "era": "Vega",
                "blocktime": 13.2,
            },
            "market_price": 0.02,
            "mmROI": 3.5,
            "nodes": {"count": 100, "vpn": 20, "online": 90, "total": 100},
            "power": {"cpus": 900, "gpus": 300, "disk": 1, "mem": 2, "total_tflops": 5.5, "utilized_tflops": 3.2},
            "staked": 5,
            "marketplace": {"gpus": {"RTX 4090": {"avg_price": 0.4, "count": 12}}},
            "render": {"frames_24h": 100, "frames_total": 5000},
            "platform": "1.0",
        },
    ),
    (
        App,
        {
            "uuid": "app-1",
            "id": 1,
            "version": "2.1",
            "docker_image": "a/b:2.1",
            "min_vram_gb": 8,
            "name": "Jupyter",
            "category": "ai",
            "description": "d",
            "image": "jupyter",
            "ports": "[5000,6000]",
            "http_ports": [8888],
            "envs": {"TOKEN": None, "WORKERS": 4},
            "start_command": "run",
            "extra": {"min_disk_size": 20},
            "personal": False,
        },
    ),
    (
        Node,
        {
            "id": 7,
            "ip": "192.0.2.1",
            "state": "online",
            "osn": "1.2.3",
            "uptime": 86400,
            "vrf_dt": "2024-05-01T12:00:00Z",
            "location": {"city": "Berlin", "country": "Germany", "latitude": 52.5, "longitude": 13.4},
            "prices": {"base": 5, "storage": 5, "traffic": 5, "gpu_hour": 0.5},
            "system": {
                "cpu_cores": 8,
                "memory": {"size": 5, "total_memory": 6},
                "disk": {"size": 7},
                "gpus": [{"model": "RTX 4090", "mem_free_mb": 5}],
            },
            "data": {"cpu_cores": 8},
            "reliability": 99,
            "features": ["vpn"],
        },
    ),
    (Machine, MACHINE),
    (
        VpnMachine,
        {
            "node_id": 9,
            "country": "Germany",
            "latitude": 52.5,
            "longitude": 13.4,
            "net_down_mbits": 940,
            "residential": True,
            "traffic_price_usd": 0.01,
            "traffic_price_ether": 0.4,
        },
    ),
    (Session, SESSION),
    (Logs, {"container": "frame 1\n", "system": [{"ts": NOON_MS, "msg": "pulling"}]}),
    (
        IdleJob,
        {
            "id": 42,
            "node_id": 69,
            "command": "train",
            "status": "completed",
            "is_up": True,
            "uptime": 60,
            "error": "e",
            "created_at": NOON_MS,
            "finished_at": NOON_MS // 1000,
        },
    ),
    (IdleJobLogs, {"data": [{"line": 1, "text": "one"}]}),
    (StartedSession, [{"id": 0, "uuid": "u-1", "status": 1, "reason": "Node not found"}]),
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(
        ["", " ", "[]", "{}", "[", "1e999", "-1", "true", '{"a": [1]}', '"x"', "9" * 200, "H4sIAAAA", "0"]
    )
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(payload: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a payload, however deep."""
    if isinstance(payload, dict):
        pairs = list(payload.items())
    elif isinstance(payload, list):
        pairs = list(enumerate(payload))
    else:
        return []
    return [(payload, key) for key, _ in pairs] + [place for _, value in pairs for place in places(value)]


@st.composite
def mutations(draw: st.DrawFn, payload: Any) -> Any:
    """The payload with some of its values dropped, replaced, wrapped, or turned into text."""
    mutated = [copy.deepcopy(payload)]
    for _ in range(draw(st.integers(min_value=0, max_value=6))):
        container, key = draw(st.sampled_from([(mutated, 0), *places(mutated[0])]))
        if isinstance(container, list) and key >= len(container):
            continue
        match draw(st.sampled_from(["drop", "replace", "wrap", "nest", "text"])):
            case "drop" if container is not mutated:
                del container[key]
            case "wrap":
                container[key] = [container[key]]
            case "nest":
                container[key] = {"data": container[key]}
            case "text":
                container[key] = msgspec.json.encode(copy.deepcopy(encodable(container[key]))).decode()
            case _:
                container[key] = draw(ANY_JSON)
    return mutated[0]


def encodable(value: Any) -> Any:
    """The value without what JSON or msgspec cannot write."""
    if isinstance(value, dict):
        return {str(key).encode("utf-8", "replace").decode(): encodable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [encodable(entry) for entry in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)[:300]


def check_types(model: Any) -> None:
    """Every attribute is of its annotated type, all the way down; no NaN, no infinity."""
    for name, annotation in get_type_hints(type(model), None, {"Any": Any}).items():
        if name in ("hidden",):
            continue
        value = getattr(model, name)
        if name == "raw":
            assert isinstance(value, dict)
            continue
        msgspec.convert(value, annotation, strict=True)
        assert not isinstance(value, float) or math.isfinite(value)
        assert not isinstance(value, bool) or "bool" in str(annotation)
        for inner in value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else [value]:
            if isinstance(inner, Model):
                check_types(inner)


@pytest.mark.parametrize(("model", "payload"), PAYLOADS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_payload_itself_reads_with_every_attribute_set(model: type[Any], payload: Any) -> None:
    found = model.from_payload(payload)
    check_types(found)
    unset = [name for name in found.__struct_fields__ if getattr(found, name) is None and name in found.raw]
    assert unset == []


@pytest.mark.parametrize(("model", "payload"), PAYLOADS, ids=lambda value: getattr(value, "__name__", ""))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_mutated_payload_reads_or_raises_a_decode_error(model: type[Any], payload: Any, data: st.DataObject) -> None:
    mutated = data.draw(mutations(payload))
    allowed: tuple[type[OctaError], ...] = (OctaDecodeError,)
    if model is StartedSession:
        allowed = (OctaDecodeError, OctaRejectedError)
    try:
        found = model.from_payload(mutated)
    except allowed:
        return
    check_types(found)
    repr(found)
    for name in ("phase", "ended_because", "rental_key", "gpu_count", "gpu_model", "gpu_memory_mb"):
        getattr(found, name, None)


@pytest.mark.parametrize("model", [Session, Machine, VpnMachine, App, Node])
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_list_of_mutated_records_loses_none(model: type[Any], data: st.DataObject) -> None:
    whole = next(payload for kind, payload in PAYLOADS if kind is model)
    listed = [data.draw(mutations(whole)), whole, data.draw(ANY_JSON)]
    found: Any = decode_list(model, listed, "GET /mutated")
    assert len(found) + len(found.odd) == 3
    assert model.from_payload(whole) in found


@settings(max_examples=300, deadline=None)
@given(payload=ANY_JSON)
def test_a_session_with_its_uuid_always_reads(payload: Any) -> None:
    for name in SESSION:
        if name != "uuid":
            assert Session.from_payload({**SESSION, name: payload}).uuid == "u-1"


def test_the_realistic_payloads_are_json() -> None:
    for _, payload in PAYLOADS:
        assert decode_json(msgspec.json.encode(encodable(payload))) is not None
