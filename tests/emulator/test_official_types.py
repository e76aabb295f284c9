"""Without quirks, every record has every field of the official TypeScript types, in their types and units."""

from datetime import datetime

import pytest
from tenancy import eventually

NUMBER = (int, float)
GIB = 1024**3

GPU = {"model": str, "mem_total_mb": int}
NODE_GPU = GPU | {
    "mem_free_mb": int,
    "idx": int,
    "bus_id": str,
    "pcie_link_gen": int,
    "pcie_link_width": int,
    "gpu_utilization": int,
    "gpu_temperature": int,
    "fan_speed": int,
    "power_limit_watt": int,
    "power_limit_default_watt": int,
    "pstate": str,
}
RELIABILITY = {
    "uptime": NUMBER,
    "stability": NUMBER,
    "s_avg_d": int,
    "s_max_d": int,
    "s_normal": int,
    "s_failed": int,
    "rating": {"count": int, "score": NUMBER},
}
MACHINE = {
    **dict.fromkeys(("country", "country_iso", "city", "cpu_model_name", "cpu_vendor_id", "memory_type"), str),
    **dict.fromkeys(("arch", "os_version", "virt", "cuda_version"), str),
    **dict.fromkeys(("node_id", "cpu_cores", "cpu_speed", "total_memory", "memory_speed", "free_disk"), int),
    **dict.fromkeys(("is_hive_os", "is_wsl", "is_has_gpu"), bool),
    **dict.fromkeys(("ai_score", "blender_score", "net_down_mbits", "net_up_mbits", "available_ports"), NUMBER),
    **dict.fromkeys(("total_price_usd", "total_price_ether", "base_ether", "storage_ether", "traffic_ether"), float),
    **dict.fromkeys(("total_price_wei", "base", "storage", "traffic"), int),
    "gpus": [GPU],
    "gpu": {"nvidia": [GPU], "amd": list, "intel": list},
    "reliability": RELIABILITY,
    "features": list,
}
VPN = {
    **dict.fromkeys(("country", "country_iso", "city"), str),
    **dict.fromkeys(("latitude", "longitude", "traffic_price_usd", "traffic_price_ether"), float),
    **dict.fromkeys(("node_id", "net_down_mbits", "net_up_mbits"), int),
    "residential": bool,
}
APP = {
    **dict.fromkeys(("uuid", "name", "category", "description", "image", "start_command"), str),
    **dict.fromkeys(("envs", "extra"), dict),
    **dict.fromkeys(("ports", "http_ports"), list),
    "personal": bool,
}
NETWORK = {
    "blockchain": dict.fromkeys(("height", "difficulty", "hashrate", "total_supply", "era", "blocktime"), NUMBER),
    "nodes": {"count": int, "vpn": int},
    "power": dict.fromkeys(("cpus", "gpus", "disk", "mem"), int),
    **dict.fromkeys(("market_price", "mmROI", "staked"), NUMBER),
}
ACCOUNT = {
    **dict.fromkeys(("account_uuid", "avatar", "email", "ref_code", "wallet"), str),
    **dict.fromkeys(("balance", "uid"), int),
}
DISK = {"free": int, "size": int, "used_percent": int}
SYSTEM = {
    **dict.fromkeys(("arch", "cpu_model_name", "os_version"), str),
    **dict.fromkeys(("cpu_cores", "cpu_load_percent"), int),
    "disk": DISK,
    "gpus": [NODE_GPU],
}
LOCATION = {"city": str, "country": str, "latitude": float, "longitude": float}
NODE = {
    **dict.fromkeys(("ip", "state", "osn", "vrf_dt"), str),
    **dict.fromkeys(("id", "uptime"), int),
    "location": LOCATION,
    "prices": {"base": int, "storage": int, "traffic": int},
    "system": SYSTEM | {"memory": {"free": int, "size": int}},
}
NODE_DETAIL = {
    **dict.fromkeys(("ip", "state", "vrf_dt"), str),
    "id": int,
    "location": {
        **LOCATION,
        **dict.fromkeys(("isocode", "continent", "continentcode", "hostname", "ip", "organisation", "provider"), str),
        **dict.fromkeys(("proxy", "type"), str),
        "risk": int,
        "devices": dict,
    },
    "reliability": RELIABILITY,
    "features": list,
    "data": {
        **SYSTEM,
        **dict.fromkeys(("cpu_vendor_id", "cuda_version", "virt", "gpu_vendor", "gpu_driver_version", "version"), str),
        **dict.fromkeys(("kernel_version", "linux_distro", "linux_release"), str),
        **dict.fromkeys(("is_hive_os", "is_wsl", "gpu_pt"), bool),
        "gpu": {"nvidia": [NODE_GPU], "amd": list, "intel": list},
        "memory": dict.fromkeys(
            (
                "total_memory",
                "free_memory",
                "available_memory",
                "cached_memory",
                "buffered_memory",
                "total_swap",
                "free_swap",
            ),
            int,
        ),
        "uptime": int,
    },
}
SESSION = {
    **dict.fromkeys(("uuid", "service", "kind", "progress", "public_ip", "ip", "country", "country_iso", "city"), str),
    **dict.fromkeys(("node_id", "duration", "started_at", "tx", "rx", "charge_amount"), int),
    "is_ready": bool,
    "ports_matrix": dict,
    "urls": dict,
    "prices": {"currency_usd": bool, "market_price": float},
    "node_hw": {"cpu": str, "cpu_cores": int, "gpu": [GPU], "total_memory": int, "disk": int},
}
RENTED = SESSION | {
    **dict.fromkeys(("app_name", "app_logo", "ssh_web"), str),
    "ssh_direct": {"host": str, "port": int},
    "ssh_proxy": {"host": str, "port": int},
    "prices": SESSION["prices"] | {"base_usd": int},
}
IDLE_JOB = {"is_up": bool, "uptime": int}


def check(record, shape, where=""):
    """Fail where a record lacks a field of the shape or has it in another type. A bool is no number."""
    if isinstance(shape, dict):
        assert isinstance(record, dict), where
        for name, inner in shape.items():
            assert name in record, f"{where} has no {name}"
            check(record[name], inner, f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(record, list), where
        assert record, where
        for entry in record:
            check(entry, shape[0], f"{where}[]")
    else:
        assert isinstance(record, shape), f"{where} is {record!r}"
        assert shape is bool or not isinstance(record, bool), f"{where} is {record!r}"


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/services/mr", [MACHINE]),
        ("/services/render", [MACHINE]),
        ("/services/vpn", [VPN]),
        ("/apps", [APP]),
        ("/network", NETWORK),
        ("/accounts", ACCOUNT),
        ("/accounts/balance", {"balance": int}),
        ("/nodes", [NODE]),
        ("/nodes/9001", NODE_DETAIL),
        ("/nodes/9002", NODE_DETAIL),
        ("/idle_jobs/9001/1", IDLE_JOB),
        ("/idle_jobs/9001/2", IDLE_JOB | {"error": str}),
    ],
)
def test_an_answer_has_every_field_of_the_official_type(hire, path, shape):
    check(hire(quirks=False).get(path), shape, path)


def test_a_session_has_every_field_of_the_official_type(hire):
    tenant = hire(quirks=False)
    app = "406c0b3f-6726-4169-a3b4-6322995cd755"
    rented = tenant.ready(app=app, ports=[22], http_ports=[8080])
    vpn = tenant.call("POST", "/services/vpn", {"node_id": 1001}).json()["uuid"]
    eventually(lambda: tenant.is_ready(vpn))
    check(tenant.get("/sessions"), [SESSION], "/sessions")
    check(tenant.info(rented), RENTED, "info")
    check(tenant.info(vpn), SESSION | {"config": str}, "info")
    check(tenant.get(f"/services/{rented}/logs"), {"container": str, "system": [{"msg": str, "ts": int}]}, "logs")
    tenant.stop(rented)
    check(tenant.get("/sessions?recent=true")[0], SESSION | {"finished_at": int, "termination_reason": int}, "recent")


@pytest.mark.parametrize("quirks", [True, False])
@pytest.mark.parametrize(
    "path",
    ["/services/mr", "/services/render", "/services/vpn", "/apps", "/nodes", "/sessions", "/sessions?recent=true"],
)
def test_a_list_holds_objects_and_nothing_else(hire, path, quirks):
    tenant = hire(quirks=quirks, machines=40, room=20)
    for _ in range(8):
        tenant.start()
    tenant.stop(tenant.listed()[0])
    records = tenant.get(path)
    assert records
    assert all(isinstance(record, dict) for record in records)


def test_disks_are_in_bytes_uptime_is_a_share_and_the_private_address_is_another_than_the_public_one(hire):
    tenant = hire(quirks=False)
    machines = tenant.get("/services/mr")
    assert tenant.get("/network")["power"]["disk"] == sum(machine["free_disk"] for machine in machines)
    assert all(90 <= machine["reliability"]["uptime"] <= 100 for machine in machines)
    info = tenant.info(tenant.ready())
    assert info["node_hw"]["disk"] == machines[0]["free_disk"] >= 60 * GIB
    assert info["ip"] != info["public_ip"]
    assert info["prices"]["currency_usd"] is True
    listed = tenant.get("/nodes")[0]
    assert datetime.fromisoformat(listed["vrf_dt"].replace("Z", "+00:00")).year > 2020
    assert listed["system"]["disk"]["size"] == machines[0]["free_disk"]


@pytest.mark.parametrize("quirks", [True, False])
@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("406c0b3f-6726-4169-a3b4-6322995cd755", "Ubuntu 24.04"),
        ("249b4cb3-3db1-4c06-98a4-772ba88cd81c", "Stable Diffusion"),
    ],
)
def test_the_apps_of_the_official_clients_exist_and_start(hire, app, name, quirks):
    tenant = hire(quirks=quirks)
    assert [found["name"] for found in tenant.get("/apps") if found["uuid"] == app] == [name]
    uuid = tenant.ready(app=app)
    assert tenant.info(uuid)["app_name"] == name


def test_nothing_says_none_without_quirks(hire):
    tenant = hire(quirks=False)
    for path in ("/apps", "/services/mr", "/services/vpn", "/nodes", "/nodes/9001", "/network", "/accounts"):
        assert '"None"' not in tenant.call("GET", path).text
