"""The account's own nodes, from both of their envelopes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from octa_provider.models.hardware import Gpu, Reliability, decode_gpus, decode_reliability
from octa_provider.wire.exact_json import require_object
from octa_provider.wire.fields import amount, count, integer, label, mapping, moment, number, strings, text
from octa_provider.wire.model import Model

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Node", "NodePrices"]


class NodePrices(Model, frozen=True, kw_only=True):
    """What a node's owner asks.

    Attributes:
        base_wei: wei per hour.
        storage_wei, traffic_wei: wei per unit of storage and traffic.
        gpu_hour, cpu_hour: what an hour of its GPU or CPU costs, in the API's unit (evidence C: the Ruby SDK).
    """

    base_wei: int | None = None
    storage_wei: int | None = None
    traffic_wei: int | None = None
    gpu_hour: float | None = None
    cpu_hour: float | None = None


class Node(Model, frozen=True, kw_only=True):
    """A node of `GET /nodes` or `GET /nodes/{id}`: two envelopes (evidence B), one view.

    Attributes:
        node_id: the node; None when the answer does not repeat it.
        ip: its address.
        state: the API's word or number for its state, as text.
        osn: the version of its node software: `osn` of the list, `version` of the detail's `data`.
        uptime_s: seconds since it came up.
        verified_at: when the platform last verified it (`vrf_dt`), aware, UTC.
        country, city, latitude, longitude: where it stands.
        prices: what it asks; None in the detail envelope.
        reliability: only in the detail envelope.
        features: only in the detail envelope.
        cpu_model_name, cpu_cores: its processor.
        memory_bytes, disk_bytes: main memory and disk, whole.
        gpus: its graphics cards.
        system: all the system figures: `system` of the list, `data` of the detail.
    """

    node_id: int | None = None
    ip: str | None = None
    state: str | None = None
    osn: str | None = None
    uptime_s: int | None = None
    verified_at: datetime | None = None
    country: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    prices: NodePrices | None = None
    reliability: Reliability | None = None
    features: tuple[str, ...] = ()
    cpu_model_name: str | None = None
    cpu_cores: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    gpus: tuple[Gpu, ...] = ()
    system: dict[str, Any] = msgspec.field(default_factory=dict)

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "node", ("id", "node_id", "ip", "state", "location", "system", "data"))
        system = mapping(raw.get("system")) or mapping(raw.get("data"))
        memory = mapping(system.get("memory"))
        location = mapping(raw.get("location"))
        node_id = count(raw.get("id"))
        return cls(
            raw=raw,
            node_id=count(raw.get("node_id")) if node_id is None else node_id,
            ip=text(raw.get("ip")),
            state=label(raw.get("state")),
            osn=label(raw.get("osn")) or label(system.get("version")),
            uptime_s=count(raw.get("uptime", system.get("uptime"))),
            verified_at=moment(raw.get("vrf_dt")),
            country=text(location.get("country")) or text(raw.get("country")),
            city=text(location.get("city")) or text(raw.get("city")),
            latitude=number(location.get("latitude")),
            longitude=number(location.get("longitude")),
            prices=_prices(raw.get("prices")),
            reliability=decode_reliability(raw.get("reliability")),
            features=strings(raw.get("features")),
            cpu_model_name=text(system.get("cpu_model_name")) or text(system.get("cpu")),
            cpu_cores=count(system.get("cpu_cores")),
            memory_bytes=count(memory.get("size", memory.get("total_memory"))),
            disk_bytes=count(mapping(system.get("disk")).get("size")),
            gpus=decode_gpus(system.get("gpus"), system.get("gpu")),
            system=system,
        )


def _prices(value: object) -> NodePrices | None:
    raw = mapping(value)
    if not raw:
        return None
    return NodePrices(
        raw=raw,
        base_wei=integer(raw.get("base")),
        storage_wei=integer(raw.get("storage")),
        traffic_wei=integer(raw.get("traffic")),
        gpu_hour=amount(raw.get("gpu_hour")),
        cpu_hour=amount(raw.get("cpu_hour")),
    )
