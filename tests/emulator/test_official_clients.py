"""The documented calls of the official clients, against the emulator as it comes: with quirks."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tenancy import eventually

ROOT = Path(__file__).resolve().parents[2]
SDK_PYTHON = ROOT / ".venvs" / "sdk" / "bin" / "python"
UBUNTU = "406c0b3f-6726-4169-a3b4-6322995cd755"
DIFFUSION = "249b4cb3-3db1-4c06-98a4-772ba88cd81c"


@pytest.mark.parametrize("seed", [7, 1])
def test_every_documented_call_of_the_python_sdk_works(hire, seed):
    assert SDK_PYTHON.exists(), "the official SDK has an environment of its own: make sdk"
    tenant = hire(seed=seed, room=20)
    ran = subprocess.run(
        [SDK_PYTHON, Path(__file__).with_name("python_sdk_calls.py")],
        env=os.environ | tenant.emulator.env(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert {"blockchain", "market_price", "nodes", "power"} <= set(seen["network"])
    assert seen["account"] == "artist@example.com"
    assert seen["balance"] > 0
    assert seen["wallet"].startswith("0x")
    assert (seen["nodes"], seen["node"], seen["online"]) == ([True, True], True, 2)
    assert seen["ident"] > 100
    assert seen["logs"] > 100
    assert (seen["gpu_hour"], seen["not found"], seen["category"]) == (0.5, True, True)
    assert seen["machines"] >= 8
    assert seen["app names"] == ["Stable Diffusion", "Ubuntu 24.04"]
    assert seen["config {'subkind': 'wg'}"] == seen["config {}"] == "[Interfac"
    assert seen["config {'subkind': 'v2ray'}"] == "trojan://"
    assert "Node not found" in seen["refused RenderResource"]
    assert "Node not found" in seen["refused VpnResource"]
    assert (seen["active"], seen["recent"], seen["ended"]) == (True, True, 0)
    assert seen["system log"]
    assert (seen["idle"], seen["idle log"]) == ("completed", True)
    assert tenant.listed() == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/accounts", None),
        ("GET", "/accounts/balance", None),
        ("POST", "/accounts", None),
        ("GET", "/nodes?state=online", None),
        ("PATCH", "/nodes/9001/prices", {"gpu_hour": 0.5, "cpu_hour": 0.1}),
        ("GET", "/nodes/9001/reboot", None),
        ("GET", "/apps?category=AI", None),
        (
            "POST",
            "/services/mr",
            [
                {
                    "id": 0,
                    "node_id": 1001,
                    "disk_size": 10,
                    "image": "ubuntu:24.04",
                    "app": DIFFUSION,
                    "envs": {},
                    "ports": [],
                    "http_ports": [],
                    "start_command": "",
                    "entrypoint": "",
                    "organization_id": 77,
                    "project_id": 88,
                }
            ],
        ),
        ("POST", "/services/vpn", {"node_id": 1001}),
        ("POST", "/services/vpn", {"node_id": 1001, "subkind": "wg"}),
        ("POST", "/services/render", {"node_id": 1001, "disk_size": 100}),
        ("GET", "/sessions?recent=true", None),
        ("GET", "/idle_jobs/9001/42", None),
        ("GET", "/idle_jobs/9001/42/logs", None),
    ],
)
def test_a_call_of_the_ruby_sdk_succeeds(tenant, method, path, body):
    # As that SDK sends it: a POST without a body has this type.
    headers = None if body is not None else {"Content-Type": "application/x-www-form-urlencoded"}
    answer = tenant.call(method, path, body, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    assert isinstance(answer.json(), (dict, list))
    # It takes an answer without a uuid, but with a reason or a status above 0, for a refusal.
    for started in answer.json() if path == "/services/mr" else []:
        assert started["uuid"]


def test_the_ruby_sdk_reads_every_list_of_ports_and_every_bandwidth(tenant):
    for app in tenant.get("/apps"):
        for name in ("ports", "http_ports"):
            ports = app[name]
            assert isinstance(ports, list) or ports == "" or isinstance(json.loads(ports), list)
    for machine in tenant.get("/services/mr") + tenant.get("/services/vpn"):
        wide = machine.get("net_down_mbits", 0)
        assert 0 <= (wide / 125_000 if wide > 100_000 else wide) <= 100_000


@pytest.mark.parametrize("seed", range(8))
def test_the_lines_of_the_typescript_readme_meet_what_they_expect(hire, seed):
    tenant = hire(seed=seed)
    machines = tenant.get("/services/mr")
    # machines.filter((m) => m.is_has_gpu), then m.gpus.map(...)
    assert all(isinstance(machine["gpus"], list) for machine in machines if machine.get("is_has_gpu"))
    # machines.sort((a, b) => a.total_price_usd - b.total_price_usd), then machines[0].total_price_usd.toFixed(4):
    # a null would be the cheapest, one that is missing stays where it is, and the first is a whole record.
    assert None not in [machine.get("total_price_usd", "none") for machine in machines]
    assert machines[0]["total_price_usd"] > 0
    assert machines[0]["gpus"][0]["model"]
    assert any(app["name"] == "Stable Diffusion" for app in tenant.get("/apps"))
    vpns = tenant.get("/services/vpn")
    assert all(vpn["traffic_price_usd"] > 0 and isinstance(vpn["residential"], bool) for vpn in vpns)
    for job in (1, 2, 3):
        assert isinstance(tenant.get(f"/idle_jobs/9001/{job}/logs")["data"], str)


def test_the_session_script_of_the_typescript_sdk_runs_to_its_end(tenant):
    offers = [m for m in tenant.get("/services/mr") if isinstance(m.get("total_price_usd"), float)]
    cheapest = min(offers, key=lambda machine: machine["total_price_usd"])
    for _ in range(4):
        item = {"node_id": cheapest["node_id"], "disk_size": 10, "image": "ubuntu:24.04", "app": UBUNTU}
        answer = tenant.call("POST", "/services/mr", [{"id": 0, **item}])
        uuid = answer.json()[0]["uuid"]
        # `while (!info.is_ready)`: the flag comes, if later than the text.
        eventually(lambda uuid=uuid: tenant.info(uuid)["is_ready"])
        info = tenant.info(uuid)
        assert (info["app_name"], bool(info["ssh_direct"]), bool(info["ssh_web"])) == ("Ubuntu 24.04", True, True)
        assert [gpu["model"] for gpu in info["node_hw"]["gpu"]]
        assert tenant.stop(uuid, {"score": 5}).status_code == 200
    # Both playgrounds: 0 and 1 are normal ends.
    assert {int(session["termination_reason"]) for session in tenant.get("/sessions?recent=true")} == {0}
