"""The emulated network: the machines on offer. Seeded and repeatable."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from octa_provider.emulator.http.quirks import Quirks
from octa_provider.emulator.platform.prices import (
    MARKET_PRICE_USD,
    hourly_prices,
    raised,
    reprice,
    unit_prices,
    usd_to_wei,
    vpn_prices,
)

FIRST_NODE_ID = 1001
GIB = 1024**3

# Country, ISO code, city, latitude, longitude; the first are the most frequent.
_PLACES = (
    ("Germany", "DE", "Falkenstein", 50.47, 12.37),
    ("United States", "US", "Ashburn", 39.04, -77.49),
    ("Finland", "FI", "Helsinki", 60.17, 24.94),
    ("Poland", "PL", "Warsaw", 52.23, 21.01),
    ("Bulgaria", "BG", "Sofia", 42.70, 23.32),
    ("Ukraine", "UA", "Kyiv", 50.45, 30.52),
    ("Canada", "CA", "Montreal", 45.50, -73.57),
    ("Sweden", "SE", "Lulea", 65.58, 22.15),
    ("South Korea", "KR", "Seoul", 37.57, 126.98),
    ("Brazil", "BR", "São Paulo", -23.55, -46.63),
)

# Model, memory in MB, USD per hour for one from and to, Blender score of one, AI score of one.
_GPUS = (
    ("NVIDIA GeForce RTX 3060", 12288, 0.05, 0.12, 2300, 310),
    ("NVIDIA GeForce RTX 3070", 8192, 0.07, 0.16, 3100, 420),
    ("NVIDIA GeForce RTX 3080", 10240, 0.11, 0.24, 4700, 640),
    ("NVIDIA GeForce RTX 3090", 24576, 0.16, 0.34, 5300, 760),
    ("NVIDIA GeForce RTX 4070 Ti", 12282, 0.18, 0.36, 6900, 830),
    ("NVIDIA GeForce RTX 4090", 24564, 0.34, 0.72, 11200, 1640),
    ("NVIDIA A100-SXM4-80GB", 81920, 0.95, 1.60, 5600, 2350),
    ("NVIDIA H100 80GB HBM3", 81559, 1.60, 2.50, 6800, 4100),
)

_CPUS = (
    ("AMD EPYC 7502 32-Core Processor", 64, "AuthenticAMD"),
    ("AMD Ryzen 9 5950X 16-Core Processor", 32, "AuthenticAMD"),
    ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", 28, "GenuineIntel"),
    ("13th Gen Intel(R) Core(TM) i9-13900K", 32, "GenuineIntel"),
)

# The first machines of every catalogue: complete, affordable, in room for a simple Blender request each.
_DEPENDABLE = ((5, 2, 0.42), (3, 1, 0.21), (5, 4, 1.36))


@dataclass
class Node:
    """One machine on offer.

    Attributes:
        node_id: its id.
        place: country, ISO code, city, latitude, longitude.
        gpu_model: model of its cards; every card of a node is the same.
        price_wei: price of an hour, exact.
        traffic_price_wei: price of a GB through a VPN, exact.
        room: sessions that fit.
        disk_gb: disk that can be given to sessions.
        payload: its record in the mr and render catalogues, oddities included.
        vpn_payload: its record in the vpn catalogue.
        unavailable: answers every start with 500 (evidence B: some nodes do while temporarily unavailable).
        full_with_500: answers 500 instead of a rejection when it has no room.
        online: False once a fault let it die.
    """

    node_id: int
    place: tuple[str, str, str, float, float]
    gpu_model: str
    gpu_count: int
    gpu_memory_mb: int
    cpu_model: str
    cpu_cores: int
    memory_bytes: int
    price_wei: int
    traffic_price_wei: int
    room: int
    disk_gb: int
    payload: dict[str, Any]
    vpn_payload: dict[str, Any]
    unavailable: bool = False
    full_with_500: bool = False
    online: bool = True

    @property
    def public_ip(self) -> str:
        """An address of the documentation range, so that nobody connects to a stranger."""
        return f"203.0.113.{self.node_id % 250 + 1}"

    @cached_property
    def session_payload(self) -> dict[str, Any]:
        """What every session on it shows of it."""
        return {
            "public_ip": self.public_ip,
            "country": self.place[0],
            "country_iso": self.place[1],
            "city": self.place[2],
            "node_hw": {
                "cpu": self.cpu_model,
                "cpu_cores": self.cpu_cores,
                "gpu": [{"model": self.gpu_model, "mem_total_mb": self.gpu_memory_mb}] * self.gpu_count,
                "total_memory": self.memory_bytes,
                "disk": self.disk_gb * GIB,
            },
        }

    def raise_price(self, factor: float) -> None:
        """Let its owner ask `factor` times as much, from the next start on; the catalogues show it."""
        self.price_wei = raised(self.price_wei, factor)
        self.traffic_price_wei = raised(self.traffic_price_wei, factor)
        reprice(self.payload, hourly_prices(self.price_wei))
        reprice(self.vpn_payload, vpn_prices(self.traffic_price_wei))


def make_nodes(
    count: int, quirks: Quirks, seed: int, room: int | None = None, gpus: int | None = None
) -> dict[int, Node]:
    """The machines of the network, by id.

    The first three are complete records of dependable machines; with quirks, each other one shows an oddity, and the
    most expensive of at least eight is temporarily unavailable.
    """
    rng = random.Random(seed)
    nodes = [_make_node(FIRST_NODE_ID + index, index, rng, quirks, room, gpus) for index in range(count)]
    if quirks.enabled:
        for node in nodes[len(_DEPENDABLE) :]:
            node.full_with_500 = quirks.shows("500 when full", node.node_id, 3)
            _make_odd(node.payload, node.node_id - FIRST_NODE_ID - len(_DEPENDABLE))
        if count >= 8:
            max(nodes[len(_DEPENDABLE) :], key=lambda node: node.price_wei).unavailable = True
    return {node.node_id: node for node in nodes}


def nodes_in(country: str, nodes: Mapping[int, Node]) -> list[int]:
    """The ids of the nodes of a country, by its name or its ISO code."""
    return [node_id for node_id, node in nodes.items() if country in node.place[:2]]


def _make_node(
    node_id: int, index: int, rng: random.Random, quirks: Quirks, room: int | None, gpus: int | None
) -> Node:
    place = _PLACES[min(int(rng.expovariate(0.4)), len(_PLACES) - 1)]
    model, gpu_memory_mb, low, high, blender, ai = rng.choices(_GPUS, (14, 10, 12, 16, 10, 22, 9, 7))[0]
    gpu_count = rng.choices((1, 2, 4, 6, 8), (40, 22, 18, 10, 10))[0]
    price_usd = min(2.5, rng.uniform(low, high) * gpu_count**0.9)
    disk_gb = rng.choice((60, 120, 250, 480, 900, 1800))
    if index < len(_DEPENDABLE):
        gpu, gpu_count, price_usd = _DEPENDABLE[index]
        model, gpu_memory_mb, _, _, blender, ai = _GPUS[gpu]
        disk_gb = 480
    if gpus is not None:
        price_usd, gpu_count = price_usd * (gpus / gpu_count) ** 0.9, gpus
    price_usd = round(price_usd, 4)
    price_wei = usd_to_wei(price_usd)
    cpu_model, cpu_cores, cpu_vendor = rng.choice(_CPUS)
    memory_bytes = rng.choice((32, 64, 128, 256)) * GIB - rng.randrange(GIB)
    down, up = rng.randint(80, 2500), rng.randint(40, 1200)
    score = blender * gpu_count * rng.uniform(0.9, 1.05)
    stability = round(rng.uniform(0.82, 1.0) * 100, 2)
    payload: dict[str, Any] = {
        "node_id": node_id,
        "country": place[0],
        "country_iso": place[1],
        "city": place[2],
        "cpu_model_name": cpu_model,
        "cpu_cores": cpu_cores,
        "cpu_speed": rng.choice((2400, 3000, 3400)),
        "cpu_vendor_id": cpu_vendor,
        "total_memory": memory_bytes,
        "memory_type": rng.choice(("DDR4", "DDR5")),
        "memory_speed": rng.choice((2666, 3200, 4800)),
        "free_disk": disk_gb * GIB,
        "arch": "x86_64",
        "os_version": rng.choice(("Ubuntu 22.04.4 LTS", "Ubuntu 24.04.1 LTS")),
        "is_hive_os": rng.random() < 0.1,
        "is_wsl": False,
        "virt": rng.choice(("none", "kvm")),
        "cuda_version": rng.choice(("12.2", "12.4", "12.8")),
        "gpus": [{"model": model, "mem_total_mb": gpu_memory_mb} for _ in range(gpu_count)],
        "gpu": {"nvidia": [{"model": model, "mem_total_mb": gpu_memory_mb}] * gpu_count, "amd": [], "intel": []},
        "is_has_gpu": True,
        "ai_score": round(ai * gpu_count * rng.uniform(0.9, 1.05), 2),
        "blender_score": round(score, 2),
        "blender_optix_score": round(score, 2),
        "blender_cuda_score": round(score * 0.62, 2),
        "blender_cpu_score": round(cpu_cores * 7.3, 2),
        "net_down_mbits": down,
        "net_up_mbits": up,
        **hourly_prices(price_wei),
        **unit_prices("storage", usd_to_wei(0.0001)),
        **unit_prices("traffic", usd_to_wei(0.0001)),
        "market_price": MARKET_PRICE_USD,
        "currency_usd": True,
        "reliability": {
            # Per cent, as in the official fixtures.
            "uptime": round(99 + rng.randint(3_600, 9_000_000) / 9_000_000, 2),
            "stability": stability,
            "s_avg_d": rng.randint(600, 90_000),
            "s_max_d": rng.randint(90_000, 900_000),
            "s_normal": rng.randint(3, 400),
            "s_failed": rng.randint(0, 20),
            "rating": {"count": rng.randint(1, 90), "score": round(rng.uniform(3.4, 5.0), 2)},
        },
        "features": ["ssh", "docker", "gpu"],
        "available_ports": rng.randint(10, 200),
    }
    traffic_price_wei = usd_to_wei(rng.uniform(0.01, 0.2))
    vpn_payload = {
        "node_id": node_id,
        "country": place[0],
        "country_iso": place[1],
        "city": place[2],
        "latitude": place[3],
        "longitude": place[4],
        "net_down_mbits": down * 125_000 if quirks.shows("vpn bytes per second", index, 3) else down,
        "net_up_mbits": up,
        "residential": rng.random() < 0.3,
        **vpn_prices(traffic_price_wei),
    }
    return Node(
        node_id=node_id,
        place=place,
        gpu_model=model,
        gpu_count=gpu_count,
        gpu_memory_mb=gpu_memory_mb,
        cpu_model=cpu_model,
        cpu_cores=cpu_cores,
        memory_bytes=memory_bytes,
        price_wei=price_wei,
        traffic_price_wei=traffic_price_wei,
        room=gpu_count if room is None else room,
        disk_gb=disk_gb,
        payload=payload,
        vpn_payload=vpn_payload,
    )


def _make_odd(payload: dict[str, Any], turn: int) -> None:
    """Give a record the next oddity: with eleven machines or more, every one appears."""
    match turn % 8:
        case 0:
            payload["net_down_mbits"] *= 125_000
            payload["net_up_mbits"] *= 125_000
        case 1:
            del payload["total_price_usd"]
        case 2:
            # The Ruby SDK's fixture: the deprecated field as it once was, a plain string, and no word of the new ones.
            payload["gpu"] = payload["gpus"][0]["model"]
            payload["gpus"] = None
            del payload["is_has_gpu"], payload["blender_score"]
        case 3:
            payload["total_price_wei"] = str(payload["total_price_wei"])
            payload["reliability"] = payload["reliability"]["stability"]
        case 4:
            payload["blender_score"] = None
            del payload["country_iso"]
        case 5:
            del payload["total_price_usd"]
            payload["total_memory"] = None
        case 6:
            payload["reliability"] = None
            payload["cuda_version"] = None
            del payload["available_ports"]
        case _:
            # New fields appear at any time.
            payload["tpm_version"] = {"major": 2}
            payload["features"] = None
