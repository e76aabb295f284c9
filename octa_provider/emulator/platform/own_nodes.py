"""The nodes that the emulated account offers itself, in both envelopes of the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from octa_provider.emulator.http.quirks import Quirks
from octa_provider.emulator.platform.catalogue import GIB, Node

FIRST_OWN_NODE_ID = 9001
NODE_SOFTWARE = "0.0.73"
#: How much of everything is in use.
_LOAD_PERCENT = 15


@dataclass
class OwnNode:
    """A node that belongs to the account.

    Attributes:
        node_id: its id.
        node: where its figures come from.
        prices: `base`, `storage`, `traffic` in wei; `gpu_hour`, `cpu_hour` once they were set.
        booted_ms: Unix time of its last start.
        reboots: how often the API rebooted it.
        state: `online`, as the Ruby and Python SDKs read it.
    """

    node_id: int
    node: Node
    prices: dict[str, int | float]
    booted_ms: int
    reboots: int = 0
    state: str = "online"

    def list_payload(self, quirks: Quirks, now_ms: int) -> dict[str, Any]:
        """The record in `GET /nodes`."""
        prices: dict[str, Any] = dict(self.prices)
        for name, value in self.prices.items():
            if isinstance(value, int):
                prices[name] = quirks.number(value, "node price", self.node_id)
        return {
            **self._head(),
            "osn": NODE_SOFTWARE,
            "uptime": self._uptime_s(now_ms),
            "location": self._place(),
            "prices": prices,
            "system": self._system()
            | {"memory": {"free": self.node.memory_bytes // 2, "size": self.node.memory_bytes}, "disk": self._disk()},
        }

    def detail_payload(self, now_ms: int) -> dict[str, Any]:
        """The answer of `GET /nodes/{id}`: another envelope, without top-level prices (evidence B)."""
        return {
            **self._head(),
            "location": self._place() | self._provider(),
            "reliability": self.node.payload["reliability"]
            if isinstance(self.node.payload.get("reliability"), dict)
            else _STEADY,
            "features": ["ssh", "docker", "gpu"],
            "data": self._system() | self._details(now_ms),
        }

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.node_id,
            "ip": f"198.51.100.{self.node_id % 250}",
            "state": self.state,
            "vrf_dt": _iso(self.booted_ms),
        }

    def _uptime_s(self, now_ms: int) -> int:
        return (now_ms - self.booted_ms) // 1000

    def _place(self) -> dict[str, Any]:
        country, _, city, latitude, longitude = self.node.place
        return {"city": city, "country": country, "latitude": latitude, "longitude": longitude}

    def _provider(self) -> dict[str, Any]:
        return {
            "isocode": self.node.place[1],
            "continent": "Europe",
            "continentcode": "EU",
            "hostname": f"node-{self.node_id}.example.com",
            "ip": f"198.51.100.{self.node_id % 250}",
            "organisation": "Example Hosting",
            "provider": "Example Hosting",
            "proxy": "no",
            "risk": 0,
            "type": "Business",
            "devices": {"address": 1, "subnet": 1},
        }

    def _system(self) -> dict[str, Any]:
        """What both envelopes tell alike."""
        node = self.node
        return {
            "arch": "x86_64",
            "cpu_cores": node.cpu_cores,
            "cpu_load_percent": _LOAD_PERCENT,
            "cpu_model_name": node.cpu_model,
            "os_version": "Ubuntu 22.04.4 LTS",
            "gpus": [self._gpu(index) for index in range(node.gpu_count)],
        }

    def _gpu(self, index: int) -> dict[str, Any]:
        return {
            "model": self.node.gpu_model,
            "mem_total_mb": self.node.gpu_memory_mb,
            "mem_free_mb": self.node.gpu_memory_mb - 512,
            "idx": index,
            "bus_id": f"00000000:{index + 1:02X}:00.0",
            "pcie_link_gen": 4,
            "pcie_link_width": 16,
            "gpu_utilization": _LOAD_PERCENT,
            "gpu_temperature": 41,
            "fan_speed": 30,
            "power_limit_watt": 320,
            "power_limit_default_watt": 350,
            "pstate": "P8",
        }

    def _disk(self) -> dict[str, Any]:
        size = self.node.disk_gb * GIB
        return {"free": size // 2, "size": size, "used_percent": 50}

    def _details(self, now_ms: int) -> dict[str, Any]:
        """What the detail tells beyond the list."""
        total = self.node.memory_bytes
        gpus = [self._gpu(index) for index in range(self.node.gpu_count)]
        return {
            "cpu_vendor_id": self.node.payload.get("cpu_vendor_id"),
            "cuda_version": "12.4",
            "is_hive_os": False,
            "is_wsl": False,
            "virt": "none",
            "gpu_pt": True,
            "gpu_vendor": "nvidia",
            "gpu_driver_version": "550.54.14",
            "gpu": {"nvidia": gpus, "amd": [], "intel": []},
            "disk": self._disk(),
            "memory": {
                "total_memory": total,
                "free_memory": total // 2,
                "available_memory": total // 2 + total // 8,
                "cached_memory": total // 8,
                "buffered_memory": total // 64,
                "total_swap": 8 * GIB,
                "free_swap": 8 * GIB,
            },
            "kernel_version": "6.8.0-40-generic",
            "linux_distro": "ubuntu",
            "linux_release": "22.04",
            "version": NODE_SOFTWARE,
            "uptime": self._uptime_s(now_ms),
        }


_STEADY = {
    "uptime": 99,
    "stability": 99.1,
    "s_avg_d": 3600,
    "s_max_d": 86_400,
    "s_normal": 40,
    "s_failed": 1,
    "rating": {"count": 4, "score": 4.8},
}


def make_own_nodes(nodes: dict[int, Node], now_ms: int) -> dict[int, OwnNode]:
    """The account's two own nodes, by id."""
    models = list(nodes.values())
    return {
        FIRST_OWN_NODE_ID + index: OwnNode(
            node_id=FIRST_OWN_NODE_ID + index,
            node=models[index % len(models)],
            prices={"base": models[index % len(models)].price_wei, "storage": 10**15, "traffic": 10**15},
            booted_ms=now_ms - 86_400_000,
        )
        for index in range(2)
    }


def _iso(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, tz=timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
