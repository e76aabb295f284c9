"""What a machine must have. Pure values: this file imports no HTTP library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from octa_provider.errors import OctaConfigError

ORDERS = ("price", "blender_score", "score_per_usd")


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
        for name in ("node_id", "gpu_count", "cpu_cores"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise OctaConfigError(f"{name} must be a whole number, 0 or more, not {value!r}")
        for name in ("gpu_memory_gb", "memory_gb", "disk_gb", "max_price_usd", "min_blender_score", "min_reliability"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise OctaConfigError(f"{name} must be a number, 0 or more, not {value!r}")
        if self.max_price_usd == 0:
            raise OctaConfigError("max_price_usd must be above 0: no machine is free")
        for name in ("gpu_model", "country"):
            object.__setattr__(self, name, _one_or_several(name, getattr(self, name)))
        if self.order_by not in ORDERS:
            raise OctaConfigError(f"order_by must be one of {', '.join(ORDERS)}, not {self.order_by!r}")
        excluded = self.exclude_nodes
        if not isinstance(excluded, (tuple, list, set, frozenset)) or any(
            isinstance(node, bool) or not isinstance(node, int) for node in excluded
        ):
            raise OctaConfigError(f"exclude_nodes must be numbers of nodes, not {excluded!r}")
        if self.node_id is not None and self.node_id in excluded:
            raise OctaConfigError(f"node {self.node_id} is both asked for and excluded: take it out of exclude_nodes")
        object.__setattr__(self, "exclude_nodes", tuple(excluded))

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


def _one_or_several(name: str, value: object) -> str | tuple[str, ...] | None:
    """One text as it is, several as a tuple in their order; a list of one is that one."""
    if value is None:
        return None
    parts = (value,) if isinstance(value, str) else value
    if not isinstance(parts, (tuple, list, set, frozenset)) or not parts:
        raise OctaConfigError(f"{name} must be text, such as '4090' or 'DE', a list of these, or left out")
    texts = [part for part in parts if isinstance(part, str) and part.strip()]
    if len(texts) < len(parts):
        raise OctaConfigError(f"{name} must be text, such as '4090' or 'DE', a list of these, or left out")
    ordered = sorted(texts) if isinstance(parts, (set, frozenset)) else texts
    return ordered[0] if len(ordered) == 1 else tuple(ordered)
