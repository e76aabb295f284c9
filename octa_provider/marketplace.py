"""Which machines fit, in which order, and why the others do not. Pure values: this file imports no HTTP library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaConfigError, OctaNoMachineError, Refusal

if TYPE_CHECKING:
    from octa_provider.models import Machine, VpnMachine

ORDERS = ("price", "blender_score", "score_per_usd")
GB = 1000**3
MIB = 1024**2


@dataclass(frozen=True)
class Requirements:
    """What a machine must have. Leave out what does not matter.

    Args:
        node_id: this machine and no other.
        gpu_model: part of the GPU's name, any case: `"4090"`.
        gpu_count: at least so many GPUs (of that model).
        gpu_memory_gb: at least so much memory on each GPU, in GB (10^9 bytes; a card sold with 24 GB tells of
            24564 MiB, which is less than 24 GiB).
        cpu_cores: at least so many cores.
        memory_gb: at least so much main memory, in GB (10^9 bytes).
        disk_gb: at least so much free disk, in GB.
        max_price_usd: at most this price, in USD per hour.
        country: ISO code or name of the country.
        min_blender_score: at least this Blender benchmark score.
        min_reliability: at least this share of its sessions ended as they should, in percent.
        exclude_nodes: machines not to take.
        order_by: `price` (cheapest first), `blender_score` (fastest first) or `score_per_usd` (most speed per USD).

    Raises:
        OctaConfigError: a value that no machine could meet.
    """

    node_id: int | None = None
    gpu_model: str | None = None
    gpu_count: int | None = None
    gpu_memory_gb: float | None = None
    cpu_cores: int | None = None
    memory_gb: float | None = None
    disk_gb: float | None = None
    max_price_usd: float | None = None
    country: str | None = None
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
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise OctaConfigError(f"{name} must be text, such as '4090' or 'DE', or left out")
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


@dataclass(frozen=True)
class Ranking:
    """A catalogue seen through requirements.

    Attributes:
        machines: those that fit, best first.
        refusals: those that do not, and the first reason why.
        nearest: of those that do not fit, the one that misses the fewest requirements, then the cheapest.
    """

    machines: tuple[Machine, ...]
    refusals: tuple[Refusal, ...]
    nearest: Machine | None

    def explain(self) -> str:
        """Why nothing fits, in one sentence, such as `no machine fits: 41 too expensive, 12 too few GPUs`."""
        if not self.refusals:
            return "no machine fits: the catalogue is empty"
        counts: dict[str, int] = {}
        for refusal in self.refusals:
            counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items(), key=lambda pair: -pair[1]))
        return f"no machine fits: {reasons}{_nearest(self.nearest)}"

    def error(self) -> OctaNoMachineError:
        """The error that says why nothing fits."""
        return OctaNoMachineError(self.explain(), refusals=self.refusals)


def rank(machines: Iterable[Machine], requirements: Requirements) -> Ranking:
    """Sort a catalogue into machines that fit, best first, and those that do not.

    A field that a machine does not tell counts as not met: money is not spent on a guess.

    Args:
        machines: a catalogue, such as `client.services.mr.available()`.
        requirements: what must hold, and the order.
    """
    if requirements.node_id is not None:
        machines = [m for m in machines if m.node_id == requirements.node_id]
        if not machines:
            return Ranking((), (Refusal(requirements.node_id, "not on offer"),), None)
    checks = _checks(requirements)
    fitting: list[Machine] = []
    misses: list[tuple[int, float, int, str, Machine]] = []
    for machine in machines:
        missed = [reason for reason, met in checks if not met(machine)]
        if missed:
            misses.append((len(missed), _price(machine), machine.node_id, missed[0], machine))
        else:
            fitting.append(machine)
    fitting.sort(key=_ORDER_KEYS[requirements.order_by])
    cheapest = min((_price(m) for *_, reason, m in misses if reason == TOO_EXPENSIVE), default=math.inf)
    shown = {
        TOO_EXPENSIVE: f"{TOO_EXPENSIVE} (cheapest {cheapest:.2f} USD/h)" if cheapest < math.inf else TOO_EXPENSIVE
    }
    refusals = tuple(Refusal(node_id, shown.get(reason, reason)) for _, _, node_id, reason, _ in misses)
    nearest = min(misses, key=lambda miss: miss[:3])[-1] if misses else None
    return Ranking(tuple(fitting), refusals, nearest)


def rank_vpn(machines: Iterable[VpnMachine], requirements: Requirements) -> tuple[VpnMachine, ...]:
    """VPN machines that fit, the cheapest traffic first.

    The VPN catalogue tells of a machine where it is and what traffic costs; nothing else can be asked for.

    Raises:
        OctaConfigError: something else was asked for.
        OctaNoMachineError: none fits.
    """
    asked = {f.name for f in fields(requirements) if getattr(requirements, f.name) != f.default}
    unknown = sorted(asked - {"node_id", "country", "exclude_nodes"})
    if unknown:
        raise OctaConfigError(
            f"a VPN machine can't be chosen by {', '.join(unknown)}: use node_id, country, exclude_nodes"
        )
    fitting = [
        m
        for m in machines
        if requirements.node_id in {None, m.node_id}
        and m.node_id not in requirements.exclude_nodes
        and (requirements.country is None or _in_country(m, requirements.country))
    ]
    if not fitting:
        raise OctaNoMachineError("no VPN machine fits: ask for another node or country")
    return tuple(sorted(fitting, key=lambda m: (_traffic_price(m), m.node_id)))


TOO_EXPENSIVE = "too expensive"
Check = tuple[str, Callable[["Machine"], bool]]


def _checks(want: Requirements) -> list[Check]:
    """Each requirement that was set, as a reason and a test; the order decides which reason is told."""
    checks: list[Check] = []

    def add(wanted: object, reason: str, met: Callable[[Machine], bool]) -> None:
        if wanted is not None and wanted != ():
            checks.append((reason, met))

    add(want.exclude_nodes, "excluded", lambda m: m.node_id not in want.exclude_nodes)
    add(want.gpu_model, f"without a {want.gpu_model} GPU", lambda m: _gpus_of(m, want) > 0)
    add(want.gpu_count, "too few GPUs", lambda m: _gpus_of(m, want) >= (want.gpu_count or 0))
    add(want.gpu_memory_gb, "too little GPU memory", lambda m: _at_least(m.gpu_memory_mb, want.gpu_memory_gb, GB / MIB))
    add(want.cpu_cores, "too few cores", lambda m: _at_least(m.cpu_cores, want.cpu_cores))
    add(want.memory_gb, "too little memory", lambda m: _at_least(m.memory_bytes, want.memory_gb, GB))
    add(want.disk_gb, "too little disk", lambda m: _at_least(m.free_disk_bytes, want.disk_gb, GB))
    add(want.country, f"not in {want.country}", lambda m: _in_country(m, want.country or ""))
    add(want.min_blender_score, "too slow in Blender", lambda m: _at_least(m.blender_score, want.min_blender_score))
    add(want.min_reliability, "not reliable enough", lambda m: _reliability(m) >= (want.min_reliability or 0))
    add(want.max_price_usd, TOO_EXPENSIVE, lambda m: _price(m) <= (want.max_price_usd or 0))
    return checks


def _gpus_of(machine: Machine, want: Requirements) -> int:
    model = (want.gpu_model or "").strip().lower()
    return sum(1 for gpu in machine.gpus if model in (gpu.model or "").lower())


def _at_least(value: float | None, wanted: float | None, unit: float = 1) -> bool:
    return value is not None and value >= (wanted or 0) * unit


def _in_country(machine: Machine | VpnMachine, country: str) -> bool:
    wanted = country.strip().lower()
    return wanted in {(machine.country_iso or "").lower(), (machine.country or "").lower()}


def _reliability(machine: Machine) -> float:
    """The share of sessions that ended as they should, in percent; -1 when the API tells of none."""
    known = machine.reliability
    normal, failed = (known.sessions_normal or 0, known.sessions_failed or 0) if known is not None else (0, 0)
    return 100 * normal / (normal + failed) if normal + failed > 0 else -1.0


def _price(machine: Machine) -> float:
    return math.inf if machine.price_usd is None else machine.price_usd


def _traffic_price(machine: VpnMachine) -> float:
    return math.inf if machine.traffic_price_usd is None else machine.traffic_price_usd


def _score(machine: Machine) -> float:
    return machine.blender_score or 0.0


def _score_per_usd(machine: Machine) -> float:
    return _score(machine) / _price(machine) if _price(machine) > 0 else 0.0


# The node id comes last, so that two workers that see the same catalogue rank it alike.
_ORDER_KEYS: dict[str, Callable[[Machine], tuple[float, float, int]]] = {
    "price": lambda m: (_price(m), -_score(m), m.node_id),
    "blender_score": lambda m: (-_score(m), _price(m), m.node_id),
    "score_per_usd": lambda m: (-_score_per_usd(m), _price(m), m.node_id),
}


def _nearest(machine: Machine | None) -> str:
    if machine is None:
        return ""
    price = "price unknown" if machine.price_usd is None else f"{machine.price_usd:.2f} USD/h"
    gpus = f"{machine.gpu_count} x {machine.gpu_model}" if machine.gpus else "no GPU"
    return f"; nearest: node {machine.node_id} ({gpus}, {price})"
