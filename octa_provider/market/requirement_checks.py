"""What can be required of a machine, checked before any money is spent.

Apart from `Requirements` themselves: a DAG file that is parsed checks its own by this, and makes none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from octa_provider import errors

__all__ = ["ORDERS", "REQUIREMENT_NAMES", "checked_requirements"]

#: The fields of `Requirements`, in their order.
REQUIREMENT_NAMES = (
    *("node_id", "gpu_model", "gpu_count", "gpu_memory_gb", "cpu_cores", "memory_gb", "disk_gb", "max_price_usd"),
    *("country", "min_blender_score", "min_reliability", "exclude_nodes", "order_by"),
)
ORDERS = ("price", "blender_score", "score_per_usd")


def checked_requirements(given: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to check of `Requirements`.

    Args:
        given: the fields by name; what is left out does not matter.

    Returns:
        Those that are kept in another form than they were given in.

    Raises:
        OctaConfigError: a value that no machine could meet.
    """
    for name in ("node_id", "gpu_count", "cpu_cores"):
        value = given.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise errors.OctaConfigError(f"{name} must be a whole number, 0 or more, not {value!r}")
    for name in ("gpu_memory_gb", "memory_gb", "disk_gb", "max_price_usd", "min_blender_score", "min_reliability"):
        value = given.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise errors.OctaConfigError(f"{name} must be a number, 0 or more, not {value!r}")
    if given.get("max_price_usd") == 0:
        raise errors.OctaConfigError("max_price_usd must be above 0: no machine is free")
    named = {name: _one_or_several(name, given.get(name)) for name in ("gpu_model", "country")}
    order_by = given.get("order_by", ORDERS[0])
    if order_by not in ORDERS:
        raise errors.OctaConfigError(f"order_by must be one of {', '.join(ORDERS)}, not {order_by!r}")
    excluded = given.get("exclude_nodes", ())
    if not isinstance(excluded, (tuple, list, set, frozenset)) or any(
        isinstance(node, bool) or not isinstance(node, int) for node in excluded
    ):
        raise errors.OctaConfigError(f"exclude_nodes must be numbers of nodes, not {excluded!r}")
    node_id = given.get("node_id")
    if node_id is not None and node_id in excluded:
        raise errors.OctaConfigError(f"node {node_id} is both asked for and excluded: take it out of exclude_nodes")
    return {**named, "exclude_nodes": tuple(excluded)}


def _one_or_several(name: str, value: object) -> str | tuple[str, ...] | None:
    """One text as it is, several as a tuple in their order; a list of one is that one."""
    if value is None:
        return None
    parts = (value,) if isinstance(value, str) else value
    if not isinstance(parts, (tuple, list, set, frozenset)) or not parts:
        raise errors.OctaConfigError(f"{name} must be text, such as '4090' or 'DE', a list of these, or left out")
    texts = [part for part in parts if isinstance(part, str) and part.strip()]
    if len(texts) < len(parts):
        raise errors.OctaConfigError(f"{name} must be text, such as '4090' or 'DE', a list of these, or left out")
    ordered = sorted(texts) if isinstance(parts, (set, frozenset)) else texts
    return ordered[0] if len(ordered) == 1 else tuple(ordered)
