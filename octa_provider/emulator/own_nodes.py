"""The nodes that the emulated account offers itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from octa_provider.emulator.catalogue import GIB, Node
from octa_provider.emulator.quirks import Quirks

FIRST_OWN_NODE_ID = 9001


@dataclass
class OwnNode:
    """A node that belongs to the account.

    Attributes:
        node_id: its id.
        node: where its figures come from.
        prices: `base`, `storage`, `traffic` in wei.
        booted_ms: Unix time of its last start.
        reboots: how often the API rebooted it.
    """

    node_id: int
    node: Node
    prices: dict[str, int]
    booted_ms: int
    reboots: int = 0

    def _system(self) -> dict[str, Any]:
        node = self.node
        return {
            "arch": "x86_64",
            "cpu_model_name": node.cpu_model,
            "cpu_cores": node.cpu_cores,
            "memory": {"size": node.memory_bytes, "free": node.memory_bytes // 2},
            "disk": {"size": node.disk_gb * GIB, "free": node.disk_gb * GIB // 2},
            "gpus": [{"model": node.gpu_model, "mem_total_mb": node.gpu_memory_mb}] * node.gpu_count,
            "os_version": "Ubuntu 22.04.4 LTS",
        }

    def list_payload(self, quirks: Quirks, now_ms: int) -> dict[str, Any]:
        """The record in `GET /nodes`."""
        prices = {name: quirks.number(value, "node price", self.node_id) for name, value in self.prices.items()}
        return {
            "id": self.node_id,
            "ip": f"198.51.100.{self.node_id % 250}",
            "state": "online",
            "osn": "emulated",
            "uptime": (now_ms - self.booted_ms) // 1000,
            "vrf_dt": self.booted_ms,
            "location": {"city": self.node.place[2], "country": self.node.place[0]},
            "prices": prices,
            "system": self._system(),
        }

    def detail_payload(self, quirks: Quirks, now_ms: int) -> dict[str, Any]:
        """The answer of `GET /nodes/{id}`: another envelope, without top-level prices (evidence B)."""
        payload = self.list_payload(quirks, now_ms)
        del payload["prices"]
        payload["data"] = payload.pop("system")
        payload["reliability"] = {"uptime": payload["uptime"], "stability": 99.1, "rating": {"count": 4, "score": 4.8}}
        payload["features"] = ["ssh", "docker", "gpu"]
        return payload


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
