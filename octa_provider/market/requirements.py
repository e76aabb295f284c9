"""What a machine must have. Pure values: this file imports no HTTP library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from octa_provider.errors import OctaConfigError
from octa_provider.market.requirement_checks import ORDERS as ORDERS
from octa_provider.market.requirement_checks import checked_requirements


@dataclass(frozen=True)
class Requirements:
    """What a machine must have. Leave out what does not matter.

    Args:
        node_id: this machine and no other.
        gpu_model: part of the GPU's name, any case: `"4090"`; or several, of which one must be met: `("4090", "3090")`.
        gpu_count: at least so many GPUs (of that model).
        gpu_memory_gb: at least so much memory on each GPU, in GB (10^9 bytes; a card sold with 24 GB tells of
            24564 MiB, which is less than 24 GiB).
        cpu_cores: at least so many cores.
        memory_gb: at least so much main memory, in GB (10^9 bytes).
        disk_gb: at least so much free disk, in GB.
        max_price_usd: at most this price, in USD per hour.
        country: ISO code or name of the country; or several, of which one must be met.
        min_blender_score: at least this Blender benchmark score.
        min_reliability: at least this share of its sessions ended as they should, in percent.
        exclude_nodes: machines not to take.
        order_by: `price` (cheapest first), `blender_score` (fastest first) or `score_per_usd` (most speed per USD).

    Raises:
        OctaConfigError: a value that no machine could meet.
    """

    node_id: int | None = None
    gpu_model: str | Sequence[str] | None = None
    gpu_count: int | None = None
    gpu_memory_gb: float | None = None
    cpu_cores: int | None = None
    memory_gb: float | None = None
    disk_gb: float | None = None
    max_price_usd: float | None = None
    country: str | Sequence[str] | None = None
    min_blender_score: float | None = None
    min_reliability: float | None = None
    exclude_nodes: tuple[int, ...] = ()
    order_by: str = "price"

    def __post_init__(self) -> None:
        for name, value in checked_requirements(vars(self)).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Requirements:
        """Requirements from a mapping, such as a JSON parameter; raises OctaConfigError for a name that is none."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OctaConfigError(f"requirements have no {', '.join(unknown)}: choose from {', '.join(sorted(known))}")
        return cls(**values)

    def without_nodes(self, nodes: Iterable[int]) -> Requirements:
        """The same requirements with more machines excluded."""
        return replace(self, exclude_nodes=(*self.exclude_nodes, *nodes))

    @property
    def gpu_models(self) -> tuple[str, ...]:
        """What `gpu_model` asks for: parts of names, of which a GPU must have one; none for any GPU."""
        return _several(self.gpu_model)

    @property
    def countries(self) -> tuple[str, ...]:
        """What `country` asks for: the codes or names, of which a machine must have one; none for any country."""
        return _several(self.country)


def _several(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
