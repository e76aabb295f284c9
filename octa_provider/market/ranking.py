"""Which machines fit, best first, and why the others do not; `asking_order` says which is asked first. Pure values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError, OctaNoMachineError, Refusal
from octa_provider.market.requirements import Requirements
from octa_provider.text.plain_text import plain_words
from octa_provider.wire.money import price_text

if TYPE_CHECKING:
    from octa_provider.models import Gpu, Machine, VpnMachine


GB = 1000**3

MIB = 1024**2

TOO_EXPENSIVE = "too expensive"

#: Of a GPU in a sentence.
_NAME_CHARS = 60


Check = tuple[str, Callable[["Machine"], object]]


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
    # Compared as they are: the number of the machine in the catalogue comes before what can't be compared.
    misses: list[tuple[int, float, int, int, str, Machine]] = []
    for number, machine in enumerate(machines):
        missed = [reason for reason, met in checks if not met(machine)]
        if missed:
            price = machine.price_usd
            misses.append(
                (len(missed), math.inf if price is None else price, machine.node_id, number, missed[0], machine)
            )
        else:
            fitting.append(machine)
    fitting.sort(key=_ORDER_KEYS[requirements.order_by])
    cheapest = min([miss[1] for miss in misses if miss[4] == TOO_EXPENSIVE], default=math.inf)
    shown = {
        TOO_EXPENSIVE: f"{TOO_EXPENSIVE} (cheapest {price_text(cheapest, 2)})" if cheapest < math.inf else TOO_EXPENSIVE
    }
    refusals = tuple([Refusal(node_id, shown.get(reason, reason)) for _, _, node_id, _, reason, _ in misses])
    nearest = min(misses)[-1] if misses else None
    return Ranking(tuple(fitting), refusals, nearest)


def rank_vpn(machines: Iterable[VpnMachine], requirements: Requirements) -> tuple[VpnMachine, ...]:
    """VPN machines that fit, the cheapest traffic first.

    The VPN catalogue tells of a machine where it is and what traffic costs; nothing else can be asked for.

    Args:
        machines: the catalogue.
        requirements: what is asked for.

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
        and (not requirements.countries or _in_country(m, requirements.countries))
    ]
    if not fitting:
        raise OctaNoMachineError("no VPN machine fits: ask for another node or country")
    return tuple(sorted(fitting, key=lambda m: (_traffic_price(m), m.node_id)))


def _checks(want: Requirements) -> list[Check]:
    """Each requirement that was set, as a reason and a test, true where met; the order decides which reason is told."""
    checks: list[Check] = []

    def add(wanted: object, reason: str, met: Callable[[Machine], object]) -> None:
        if wanted is not None and wanted != ():
            checks.append((reason, met))

    excluded, gpus_of, gpu_count = frozenset(want.exclude_nodes), _gpu_counter(want), want.gpu_count or 0
    add(want.exclude_nodes, "excluded", lambda m: m.node_id not in excluded)
    add(want.gpu_model, f"without a {_either(want.gpu_models)} GPU", gpus_of)
    add(want.gpu_count, "too few GPUs", lambda m: gpus_of(m) >= gpu_count)
    add(want.gpu_memory_gb, "too little GPU memory", lambda m: _at_least(m.gpu_memory_mb, want.gpu_memory_gb, GB / MIB))
    add(want.cpu_cores, "too few cores", lambda m: _at_least(m.cpu_cores, want.cpu_cores))
    add(want.memory_gb, "too little memory", lambda m: _at_least(m.memory_bytes, want.memory_gb, GB))
    add(want.disk_gb, "too little disk", lambda m: _at_least(m.free_disk_bytes, want.disk_gb, GB))
    add(want.country, f"not in {_either(want.countries)}", lambda m: _in_country(m, want.countries))
    add(want.min_blender_score, "too slow in Blender", lambda m: _at_least(m.blender_score, want.min_blender_score))
    add(want.min_reliability, "not reliable enough", lambda m: _reliability(m) >= (want.min_reliability or 0))
    add(want.max_price_usd, TOO_EXPENSIVE, lambda m: _price(m) <= (want.max_price_usd or 0))
    return checks


def _gpu_counter(want: Requirements) -> Callable[[Machine], int]:
    """How many cards a job can have: of one model, and the most of those that are asked for."""
    models = [model.strip().lower() for model in want.gpu_models] or [""]
    # Machines of one catalogue share their cards, and every tuple in here is kept: its id stays its own.
    known: dict[int, tuple[tuple[Gpu, ...], int]] = {}

    def count(machine: Machine) -> int:
        gpus = machine.gpus
        found = known.get(id(gpus))
        if found is None:
            names = [(gpu.model or "").lower() for gpu in gpus]
            found = known[id(gpus)] = gpus, max(sum(1 for name in names if model in name) for model in models)
        return found[1]

    return count


def _at_least(value: float | None, wanted: float | None, unit: float = 1) -> bool:
    return value is not None and value >= (wanted or 0) * unit


def _in_country(machine: Machine | VpnMachine, countries: tuple[str, ...]) -> bool:
    told = {(machine.country_iso or "").lower(), (machine.country or "").lower()}
    return any(country.strip().lower() in told for country in countries)


def _either(texts: tuple[str, ...]) -> str:
    """Several as a person says them: `4090, 3090 or 3080`."""
    *all_but_last, last = texts or ("",)
    return f"{', '.join(all_but_last)} or {last}" if all_but_last else last


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
    price = "price unknown" if machine.price_usd is None else price_text(machine.price_usd, 2)
    # The host's owner wrote its name.
    gpus = f"{machine.gpu_count} x {plain_words(str(machine.gpu_model))[:_NAME_CHARS]}" if machine.gpus else "no GPU"
    return f"; nearest: node {machine.node_id} ({gpus}, {price})"
