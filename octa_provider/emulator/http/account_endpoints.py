"""Endpoints about the account, the network, apps, the account's own nodes and idle jobs."""

from __future__ import annotations

import base64
import gzip
import secrets

from aiohttp import web

from octa_provider.emulator.http.exchange import PLATFORM, error_answer, json_answer, json_body
from octa_provider.emulator.platform.billing import wall_ns
from octa_provider.emulator.platform.catalogue import GIB
from octa_provider.emulator.platform.orders import parse_prices
from octa_provider.emulator.platform.own_nodes import OwnNode
from octa_provider.emulator.platform.prices import MARKET_PRICE_USD, wei_to_usd

#: Idle jobs of every own node: runs, failed, runs; the last is the Ruby SDK's example, completed.
IDLE_JOBS = ("1", "2", "3", "42")


async def get_account(request: web.Request) -> web.Response:
    """`GET /accounts`."""
    platform = request.app[PLATFORM]
    account = {name: value for name, value in platform.state.account.items() if name != "api_key"}
    balance = platform.funds.balance_wei()
    account["balance"] = str(balance) if platform.quirks.enabled else balance
    account["avatar"] = f"https://example.com/avatars/{account['uid']}.png"
    return json_answer(account)


async def get_balance(request: web.Request) -> web.Response:
    """`GET /accounts/balance`."""
    return json_answer({"balance": request.app[PLATFORM].funds.balance_wei(), "currency": "OCTA"})


async def make_wallet(request: web.Request) -> web.Response:
    """`POST /accounts`."""
    platform = request.app[PLATFORM]
    platform.wallets.append("0x" + secrets.token_hex(20))
    return json_answer({"address": platform.wallets[-1]}, 201)


async def get_network(request: web.Request) -> web.Response:
    """`GET /network`: public."""
    platform = request.app[PLATFORM]
    nodes = [node for node in platform.nodes.values() if node.online]
    gpus: dict[str, dict[str, float]] = {}
    for node in nodes:
        entry = gpus.setdefault(node.gpu_model, {"avg_price": 0.0, "count": 0})
        price_usd = wei_to_usd(node.price_wei) / node.gpu_count
        total = entry["avg_price"] * entry["count"] + price_usd * node.gpu_count
        entry["count"] += node.gpu_count
        entry["avg_price"] = round(total / entry["count"], 4)
    return json_answer(
        {
            "blockchain": {
                "height": 9_142_000 + platform.clock.now_ms() // 13_000 % 100_000,
                "difficulty": 1_204_500_000_000,
                "hashrate": 92_400_000_000,
                "total_supply": 44_200_000,
                "circulating_supply": 42_115_431,
                "era": 4,
                "blocktime": 13.1,
            },
            "market_price": MARKET_PRICE_USD,
            "mmROI": 11.4,
            "nodes": {
                "count": len(nodes),
                "vpn": len(nodes),
                "online": len(nodes),
                "total": len(platform.nodes),
            },
            "power": {
                "cpus": sum(node.cpu_cores for node in nodes),
                "gpus": sum(node.gpu_count for node in nodes),
                "disk": sum(node.disk_gb for node in nodes) * GIB,
                "mem": sum(node.memory_bytes for node in nodes),
                "total_tflops": 42.5 * sum(node.gpu_count for node in nodes),
                "utilized_tflops": 42.5 * platform.running_count(),
            },
            "staked": 7_310_000,
            "marketplace": {"gpus": gpus},
            "platform": {"total_jobs": len(platform.ledger.sessions)},
            "render": {"frames_24h": 41_233, "frames_total": 18_340_021},
        }
    )


async def list_apps(request: web.Request) -> web.Response:
    """`GET /apps`, with the Ruby SDK's filter `category`."""
    category = request.query.get("category", "").lower()
    apps = [app for app in request.app[PLATFORM].apps if category in ("", app["category"].lower())]
    return json_answer(apps)


async def list_nodes(request: web.Request) -> web.Response:
    """`GET /nodes`, filtered by `country` (name or ISO code) and `state`; every node takes every `app`."""
    platform = request.app[PLATFORM]
    country, state = request.query.get("country", "").lower(), request.query.get("state", "").lower()
    nodes = [
        node.list_payload(platform.quirks, wall_ns() // 1_000_000)
        for node in platform.own_nodes.values()
        if country in ("", node.node.place[0].lower(), node.node.place[1].lower()) and state in ("", node.state)
    ]
    return json_answer(nodes)


def _own_node(request: web.Request) -> OwnNode:
    name = request.match_info["node_id"]
    node = request.app[PLATFORM].own_nodes.get(int(name) if name.isascii() and name.isdigit() else 0)
    if node is None:
        raise web.HTTPNotFound(text="Node not found")
    return node


async def get_node(request: web.Request) -> web.Response:
    """`GET /nodes/{id}`."""
    return json_answer(_own_node(request).detail_payload(wall_ns() // 1_000_000))


async def download_ident(request: web.Request) -> web.Response:
    """`GET /nodes/{id}/ident`: binary."""
    node = _own_node(request)
    return _download(f"node-{node.node_id}.ident", b"OCTA\x00\xff" + node.node_id.to_bytes(8, "big") * 32)


async def download_logs(request: web.Request) -> web.Response:
    """`GET /nodes/{id}/logs`: binary, a gzip file."""
    node = _own_node(request)
    lines = "".join(f"{number} node {node.node_id} is well\n" for number in range(200))
    return _download(f"node-{node.node_id}.log.gz", gzip.compress(lines.encode(), mtime=0))


def _download(name: str, content: bytes) -> web.Response:
    return web.Response(
        body=content,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def update_prices(request: web.Request) -> web.Response:
    """`PATCH /nodes/{id}/prices`."""
    node = _own_node(request)
    node.prices |= parse_prices(await json_body(request))
    return json_answer({"prices": node.prices})


async def reboot_node(request: web.Request) -> web.Response:
    """`GET /nodes/{id}/reboot`: a GET with a side effect."""
    node = _own_node(request)
    node.reboots += 1
    node.booted_ms = wall_ns() // 1_000_000
    return json_answer({"status": "ok"})


async def get_idle_job(request: web.Request) -> web.Response:
    """`GET /idle_jobs/{node_id}/{job_id}`."""
    job = _idle_job(request)
    if job is None:
        return error_answer(404, "Idle job not found")
    return json_answer(
        {
            "id": int(job),
            "node_id": int(request.match_info["node_id"]),
            "command": "python train.py --epochs 10",
            "created_at": "2026-04-10T12:00:00Z",
            "finished_at": None,
            **_IDLE_STATES.get(job, {"status": "running", "is_up": True, "uptime": 5400}),
        }
    )


_IDLE_STATES: dict[str, dict[str, object]] = {
    "2": {"status": "failed", "is_up": False, "uptime": 0, "error": "exit status 1"},
    "42": {"status": "completed", "is_up": False, "uptime": 0, "finished_at": "2026-04-10T14:30:00Z"},
}


async def get_idle_job_logs(request: web.Request) -> web.Response:
    """`GET /idle_jobs/{node_id}/{job_id}/logs`: gzip then base64; with quirks, job 42 has a list of lines (C: Ruby)."""
    job = _idle_job(request)
    if job is None:
        return error_answer(404, "Idle job not found")
    lines = [f"[{number}] hashing" for number in range(50)]
    if job == "42" and request.app[PLATFORM].quirks.enabled:
        return json_answer({"data": [{"line": number, "text": text} for number, text in enumerate(lines)]})
    packed = gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)
    return json_answer({"data": base64.b64encode(packed).decode()})


def _idle_job(request: web.Request) -> str | None:
    _own_node(request)
    job = request.match_info["job_id"]
    return job if job in IDLE_JOBS else None


def account_routes() -> list[web.RouteDef]:
    """The routes of this file."""
    return [
        web.get("/accounts", get_account),
        web.get("/accounts/balance", get_balance),
        web.post("/accounts", make_wallet),
        web.get("/network", get_network),
        web.get("/apps", list_apps),
        web.get("/nodes", list_nodes),
        web.get("/nodes/{node_id}", get_node),
        web.get("/nodes/{node_id}/ident", download_ident),
        web.get("/nodes/{node_id}/logs", download_logs),
        web.patch("/nodes/{node_id}/prices", update_prices),
        web.get("/nodes/{node_id}/reboot", reboot_node),
        web.get("/idle_jobs/{node_id}/{job_id}", get_idle_job),
        web.get("/idle_jobs/{node_id}/{job_id}/logs", get_idle_job_logs),
    ]
