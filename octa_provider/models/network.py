"""Public statistics of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octa_provider.wire.exact_json import require_object
from octa_provider.wire.fields import amount, integer, label, mapping, number, strings, text
from octa_provider.wire.model import Model

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["GpuMarket", "Network"]

_OWN = (
    *("blockchain", "market_price", "nodes", "power", "marketplace", "platform", "render"),
    *("total_nodes", "total_tflops"),
)


class GpuMarket(Model, frozen=True, kw_only=True):
    """One GPU model on the marketplace.

    Attributes:
        avg_price: mean price, in the API's unit.
        count: how many are on offer.
    """

    avg_price: float | None = None
    count: int | None = None


class Network(Model, frozen=True, kw_only=True):
    """`GET /network`, the one call without a key (evidence S). Any field can be missing.

    Attributes:
        height, difficulty, hashrate, total_supply, circulating_supply, blocktime: of the block chain, in the API's
            units.
        era: its number, or its name (`Vega`): both are in the official clients' fixtures.
        market_price: USD for one OCTA.
        mm_roi: `mmROI` on the wire.
        nodes_count, nodes_online, vpn_count: nodes, those that are up, and those that offer VPN.
        power_cpus, power_gpus: what all nodes have together.
        gpus_available: how many of their GPUs are free.
        power_disk, power_mem: the same in bytes.
        total_tflops, utilized_tflops, available_tflops: their speed, and how much of it is in use, and free.
        utilization_percent: the share that is in use.
        regions: where they stand, such as `EU`.
        staked: OCTA staked, in the API's unit.
        gpus: GPU model to its market.
        platform: the API's platform version, when it is plain text.
        total_jobs: jobs on the platform.
        frames_24h, frames_total: frames rendered in the last day, and ever.
    """

    height: int | None = None
    difficulty: int | None = None
    hashrate: float | None = None
    total_supply: float | None = None
    circulating_supply: float | None = None
    era: int | str | None = None
    blocktime: float | None = None
    market_price: float | None = None
    mm_roi: float | None = None
    nodes_count: int | None = None
    nodes_online: int | None = None
    vpn_count: int | None = None
    power_cpus: int | None = None
    power_gpus: int | None = None
    gpus_available: int | None = None
    power_disk: int | None = None
    power_mem: int | None = None
    total_tflops: float | None = None
    utilized_tflops: float | None = None
    available_tflops: float | None = None
    utilization_percent: float | None = None
    regions: tuple[str, ...] = ()
    staked: float | None = None
    gpus: dict[str, GpuMarket] = msgspec.field(default_factory=dict)
    platform: str | None = None
    total_jobs: int | None = None
    frames_24h: int | None = None
    frames_total: int | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "network", _OWN)
        # The Ruby SDK has fixtures in which these two stand alone (evidence C).
        stats = {**raw, **mapping(raw.get("power"))}
        chain = mapping(raw.get("blockchain"))
        era = chain.get("era")
        nodes = mapping(raw.get("nodes"))
        power = mapping(raw.get("power"))
        render = mapping(raw.get("render"))
        return cls(
            raw=raw,
            height=integer(chain.get("height")),
            difficulty=integer(chain.get("difficulty")),
            hashrate=number(chain.get("hashrate")),
            total_supply=number(chain.get("total_supply")),
            circulating_supply=number(chain.get("circulating_supply")),
            era=text(era) if integer(era) is None else integer(era),
            blocktime=number(chain.get("blocktime")),
            market_price=amount(raw.get("market_price")),
            mm_roi=number(raw.get("mmROI")),
            nodes_count=integer(nodes.get("count", nodes.get("total", raw.get("total_nodes")))),
            nodes_online=integer(nodes.get("online", raw.get("online_nodes"))),
            vpn_count=integer(nodes.get("vpn")),
            power_cpus=integer(power.get("cpus")),
            power_gpus=integer(power.get("gpus", raw.get("total_gpu_count"))),
            gpus_available=integer(raw.get("available_gpu_count")),
            power_disk=integer(power.get("disk")),
            power_mem=integer(power.get("mem")),
            total_tflops=number(stats.get("total_tflops")),
            utilized_tflops=number(stats.get("utilized_tflops")),
            available_tflops=number(stats.get("available_tflops")),
            utilization_percent=number(stats.get("utilization_pct")),
            regions=strings(raw.get("regions")),
            staked=number(raw.get("staked")),
            gpus={
                model: GpuMarket(
                    raw=market, avg_price=amount(market.get("avg_price")), count=integer(market.get("count"))
                )
                for model, market in mapping(mapping(raw.get("marketplace")).get("gpus")).items()
                if isinstance(model, str) and isinstance(market, dict)
            },
            platform=label(raw.get("platform")),
            total_jobs=integer(mapping(raw.get("platform")).get("total_jobs")),
            frames_24h=integer(render.get("frames_24h")),
            frames_total=integer(render.get("frames_total")),
        )
