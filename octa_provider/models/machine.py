"""What is on offer: machines and VPN exits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.errors import OctaDecodeError
from octa_provider.models.hardware import Gpu, Reliability, decode_gpus, decode_reliability
from octa_provider.wire.exact_json import require_object, shown
from octa_provider.wire.fields import (
    amount,
    bandwidth_mbps,
    count,
    flag,
    number,
    strings,
    text,
    usd_from_ten_thousandths,
    wei,
)
from octa_provider.wire.model import Model

if TYPE_CHECKING:
    from typing_extensions import Self


def _node_id(raw: dict[str, object], what: str) -> int:
    node_id = count(raw.get("node_id"))
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
        cpu_model_name, cpu_cores, cpu_vendor_id: its processor.
        cpu_speed: its clock in MHz.
        memory_bytes: main memory in bytes.
        memory_type, memory_speed: such as `DDR4`, and its clock in MHz.
        free_disk_bytes: free disk in bytes.
        gpus: its graphics cards, also from the deprecated `gpu` (evidence B).
        has_gpu: the API's own word on whether it has any.
        cuda_version: such as `12.4`.
        ai_score, blender_score, blender_cpu_score, blender_cuda_score, blender_optix_score: the API's benchmarks,
            higher is faster.
        net_down_mbps, net_up_mbps: Mbit/s; bytes per second on the wire are converted (evidence B).
        price_usd: USD per hour, all included; None when the API named none.
        price_wei: wei per hour, exact.
        base_usd, base_wei: USD, and wei, per hour for the machine alone.
        storage_usd, storage_wei: USD, and wei, per unit of storage.
        traffic_usd, traffic_wei: USD, and wei, per unit of traffic.
        market_price: USD for one OCTA.
        currency_usd: whether the prices are in USD.
        reliability: how the node has behaved.
        features: the API's feature names.
        available_ports: how many ports can still be forwarded.
        arch, os_version, virt, is_hive_os, is_wsl: its system.
    """

    node_id: int
    country: str | None = None
    country_iso: str | None = None
    city: str | None = None
    cpu_model_name: str | None = None
    cpu_cores: int | None = None
    cpu_vendor_id: str | None = None
    cpu_speed: int | None = None
    memory_bytes: int | None = None
    memory_type: str | None = None
    memory_speed: int | None = None
    free_disk_bytes: int | None = None
    gpus: tuple[Gpu, ...] = ()
    has_gpu: bool | None = None
    cuda_version: str | None = None
    ai_score: float | None = None
    blender_score: float | None = None
    blender_cpu_score: float | None = None
    blender_cuda_score: float | None = None
    blender_optix_score: float | None = None
    net_down_mbps: float | None = None
    net_up_mbps: float | None = None
    price_usd: float | None = None
    price_wei: int | None = None
    base_usd: float | None = None
    base_wei: int | None = None
    storage_usd: float | None = None
    storage_wei: int | None = None
    traffic_usd: float | None = None
    traffic_wei: int | None = None
    market_price: float | None = None
    currency_usd: bool | None = None
    reliability: Reliability | None = None
    features: tuple[str, ...] = ()
    available_ports: int | None = None
    arch: str | None = None
    os_version: str | None = None
    virt: str | None = None
    is_hive_os: bool | None = None
    is_wsl: bool | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object or has no `node_id`."""
        raw = require_object(payload, "machine")
        get = raw.get
        cuda_version = get("cuda_version")
        open_ports = get("available_ports")
        return cls(
            raw=raw,
            node_id=_node_id(raw, "machine"),
            country=text(get("country")),
            country_iso=text(get("country_iso")),
            city=text(get("city")),
            cpu_model_name=text(get("cpu_model_name")),
            cpu_cores=count(get("cpu_cores")),
            cpu_vendor_id=text(get("cpu_vendor_id")),
            cpu_speed=count(get("cpu_speed")),
            memory_bytes=count(get("total_memory")),
            memory_type=text(get("memory_type")),
            memory_speed=count(get("memory_speed")),
            free_disk_bytes=count(get("free_disk")),
            gpus=decode_gpus(get("gpus"), get("gpu")),
            has_gpu=flag(get("is_has_gpu")),
            cuda_version=text(cuda_version) or (None if number(cuda_version) is None else str(cuda_version)),
            ai_score=number(get("ai_score")),
            blender_score=number(get("blender_score")),
            blender_cpu_score=number(get("blender_cpu_score")),
            blender_cuda_score=number(get("blender_cuda_score")),
            blender_optix_score=number(get("blender_optix_score")),
            net_down_mbps=bandwidth_mbps(get("net_down_mbits")),
            net_up_mbps=bandwidth_mbps(get("net_up_mbits")),
            price_usd=amount(get("total_price_usd")),
            price_wei=wei(get("total_price_wei"), ether=get("total_price_ether")),
            base_usd=usd_from_ten_thousandths(get("base_usd")),
            base_wei=wei(get("base"), get("base_wei"), ether=get("base_ether")),
            storage_usd=usd_from_ten_thousandths(get("storage_usd")),
            storage_wei=wei(get("storage"), get("storage_wei"), ether=get("storage_ether")),
            traffic_usd=usd_from_ten_thousandths(get("traffic_usd")),
            traffic_wei=wei(get("traffic"), get("traffic_wei"), ether=get("traffic_ether")),
            market_price=amount(get("market_price")),
            currency_usd=flag(get("currency_usd")),
            reliability=decode_reliability(get("reliability")),
            features=strings(get("features")),
            available_ports=len(open_ports) if isinstance(open_ports, list) else count(open_ports),
            arch=text(get("arch")),
            os_version=text(get("os_version")),
            virt=text(get("virt")),
            is_hive_os=flag(get("is_hive_os")),
            is_wsl=flag(get("is_wsl")),
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
        net_down_mbps, net_up_mbps: Mbit/s; `net_down_mbs` and `net_up_mbs` on the wire are the same (evidence C).
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
            net_down_mbps=bandwidth_mbps(raw.get("net_down_mbits", raw.get("net_down_mbs"))),
            net_up_mbps=bandwidth_mbps(raw.get("net_up_mbits", raw.get("net_up_mbs"))),
            residential=flag(raw.get("residential")),
            traffic_price_usd=amount(raw.get("traffic_price_usd")),
            traffic_price_wei=wei(raw.get("traffic_price_wei"), ether=raw.get("traffic_price_ether")),
        )
