"""What is on offer: machines, VPN exits, apps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octa_provider.errors import OctaDecodeError
from octa_provider.models.fields import (
    amount,
    bandwidth_mbps,
    ether_as_wei,
    flag,
    integer,
    mapping,
    number,
    ports,
    string_map,
    strings,
    text,
    usd_from_ten_thousandths,
)
from octa_provider.models.hardware import Gpu, Reliability, decode_gpus, decode_reliability
from octa_provider.models.model import Model
from octa_provider.models.wire import require_object, shown

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["App", "Machine", "VpnMachine"]


def _node_id(raw: dict[str, object], what: str) -> int:
    node_id = integer(raw.get("node_id"))
    if node_id is None:
        raise OctaDecodeError(
            f"{what}: no node_id, so it cannot be rented. Look at .body.",
            what=what,
            body=shown(raw),
        )
    return node_id


class Machine(Model, frozen=True, kw_only=True):
    """A machine on offer: `GET /services/mr` or `/services/render` (evidence S).

    Any field but `node_id` can be missing.

    Attributes:
        node_id: the node, for `start`.
        country, country_iso, city: where it stands.
        cpu_model_name, cpu_cores: its processor.
        memory_bytes: main memory in bytes.
        free_disk_bytes: free disk in bytes.
        gpus: its graphics cards, also from the deprecated `gpu` (evidence B).
        cuda_version: such as `12.4`.
        ai_score, blender_score: the API's benchmarks, higher is faster.
        net_down_mbps, net_up_mbps: Mbit/s; bytes per second on the wire are converted (evidence B).
        price_usd: USD per hour, all included; None when the API named none.
        price_wei: wei per hour, exact.
        base_usd: USD per hour for the machine alone.
        storage_usd, traffic_usd: USD per unit of storage and traffic.
        reliability: how the node has behaved.
        features: the API's feature names.
        available_ports: how many ports can still be forwarded.
        arch, os_version, virt: its system.
    """

    node_id: int
    country: str | None = None
    country_iso: str | None = None
    city: str | None = None
    cpu_model_name: str | None = None
    cpu_cores: int | None = None
    memory_bytes: int | None = None
    free_disk_bytes: int | None = None
    gpus: tuple[Gpu, ...] = ()
    cuda_version: str | None = None
    ai_score: float | None = None
    blender_score: float | None = None
    net_down_mbps: float | None = None
    net_up_mbps: float | None = None
    price_usd: float | None = None
    price_wei: int | None = None
    base_usd: float | None = None
    storage_usd: float | None = None
    traffic_usd: float | None = None
    reliability: Reliability | None = None
    features: tuple[str, ...] = ()
    available_ports: int | None = None
    arch: str | None = None
    os_version: str | None = None
    virt: str | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object or has no `node_id`."""
        raw = require_object(payload, "machine")
        get = raw.get
        price_wei = integer(get("total_price_wei"))
        cuda_version = get("cuda_version")
        open_ports = get("available_ports")
        return cls(
            raw=raw,
            node_id=_node_id(raw, "machine"),
            country=text(get("country")),
            country_iso=text(get("country_iso")),
            city=text(get("city")),
            cpu_model_name=text(get("cpu_model_name")),
            cpu_cores=integer(get("cpu_cores")),
            memory_bytes=integer(get("total_memory")),
            free_disk_bytes=integer(get("free_disk")),
            gpus=decode_gpus(get("gpus"), get("gpu")),
            cuda_version=text(cuda_version) or (None if number(cuda_version) is None else str(cuda_version)),
            ai_score=number(get("ai_score")),
            blender_score=number(get("blender_score")),
            net_down_mbps=bandwidth_mbps(get("net_down_mbits")),
            net_up_mbps=bandwidth_mbps(get("net_up_mbits")),
            price_usd=amount(get("total_price_usd")),
            price_wei=ether_as_wei(get("total_price_ether")) if price_wei is None else price_wei,
            base_usd=usd_from_ten_thousandths(get("base_usd")),
            storage_usd=usd_from_ten_thousandths(get("storage_usd")),
            traffic_usd=usd_from_ten_thousandths(get("traffic_usd")),
            reliability=decode_reliability(get("reliability")),
            features=strings(get("features")),
            available_ports=len(open_ports) if isinstance(open_ports, list) else integer(open_ports),
            arch=text(get("arch")),
            os_version=text(get("os_version")),
            virt=text(get("virt")),
        )

    @property
    def gpu_count(self) -> int:
        """How many graphics cards it has."""
        return len(self.gpus)

    @property
    def gpu_model(self) -> str | None:
        """The model of its first graphics card; None when it has none or does not say."""
        return (self.gpus[0].model or None) if self.gpus else None

    @property
    def gpu_memory_mb(self) -> int | None:
        """The memory of its smallest card in MiB: what every card is sure to have. None when none says."""
        return min((gpu.memory_mb for gpu in self.gpus if gpu.memory_mb is not None), default=None)


class VpnMachine(Model, frozen=True, kw_only=True):
    """A VPN exit on offer: `GET /services/vpn` (evidence S).

    Attributes:
        node_id: the node, for `start`.
        country, country_iso, city: where it stands.
        latitude, longitude: degrees.
        net_down_mbps, net_up_mbps: Mbit/s.
        residential: whether its address is a home's.
        traffic_price_usd: USD per GB.
        traffic_price_wei: wei per GB, from the ether on the wire.
    """

    node_id: int
    country: str | None = None
    country_iso: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    net_down_mbps: float | None = None
    net_up_mbps: float | None = None
    residential: bool | None = None
    traffic_price_usd: float | None = None
    traffic_price_wei: int | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object or has no `node_id`."""
        raw = require_object(payload, "VPN machine")
        return cls(
            raw=raw,
            node_id=_node_id(raw, "VPN machine"),
            country=text(raw.get("country")),
            country_iso=text(raw.get("country_iso")),
            city=text(raw.get("city")),
            latitude=number(raw.get("latitude")),
            longitude=number(raw.get("longitude")),
            net_down_mbps=bandwidth_mbps(raw.get("net_down_mbits")),
            net_up_mbps=bandwidth_mbps(raw.get("net_up_mbits")),
            residential=flag(raw.get("residential")),
            traffic_price_usd=amount(raw.get("traffic_price_usd")),
            traffic_price_wei=ether_as_wei(raw.get("traffic_price_ether")),
        )


class App(Model, frozen=True, kw_only=True):
    """An app of `GET /apps`: an image with its settings (evidence S, B).

    Attributes:
        uuid: the app, for `start(app=...)`.
        name, category, description: what it is.
        image: the container image.
        ports, http_ports: container ports to forward; JSON strings on the wire are opened (evidence B).
        envs: default environment; null is empty text, numbers are text (evidence B).
        start_command: what it runs; empty when the image decides.
        min_disk_gb: GB of disk that it needs.
        personal: whether it is the account's own.
    """

    uuid: str | None = None
    name: str | None = None
    category: str | None = None
    description: str | None = None
    image: str | None = None
    ports: list[int] = msgspec.field(default_factory=list)
    http_ports: list[int] = msgspec.field(default_factory=list)
    envs: dict[str, str] = msgspec.field(default_factory=dict)
    start_command: str = ""
    min_disk_gb: float | None = None
    personal: bool | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "app")
        return cls(
            raw=raw,
            uuid=text(raw.get("uuid")),
            name=text(raw.get("name")),
            category=text(raw.get("category")),
            description=text(raw.get("description")),
            image=text(raw.get("image")),
            ports=ports(raw.get("ports")),
            http_ports=ports(raw.get("http_ports")),
            envs=string_map(raw.get("envs")),
            start_command=text(raw.get("start_command")) or "",
            min_disk_gb=amount(mapping(raw.get("extra")).get("min_disk_size")),
            personal=flag(raw.get("personal")),
        )
