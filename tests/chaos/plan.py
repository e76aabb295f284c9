"""What one run does, drawn from its seed alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.fault_set import FaultSet
from tests.chaos.fault_sets import BY_NAME, FAULT_SETS

TRIES = 5
#: Real seconds for one request. Shorter than what the delays of the faults take.
TIMEOUT_S = 0.15
NAMESPACES = ("east", "west")


#: Of ours, each of which one variant does without.
RULES = (
    "adoption",
    "settling",
    "seeing it gone",
    "namespaces",
    "leaving others alone",
    "comparing prices",
    "what was written down",
    "hearing signals",
)


@dataclass(frozen=True)
class Client:
    """Somebody who does the work.

    Attributes:
        name: as the tables show it.
        module: what a try runs.
        ours: whether the promises are its.
    """

    name: str
    module: str
    ours: bool

    @property
    def clears_up(self) -> bool:
        """Whether it is to stop what it rented when a signal ends it."""
        return self.ours or self.module == "tests.chaos.broken_work"


CLIENTS = {
    client.name: client
    for client in (
        Client("rental", "tests.chaos.rental_work", True),
        Client("job", "tests.chaos.job_work", True),
        Client("plain", "tests.chaos.plain_work", False),
        Client("sdk", "tests.chaos.sdk_work", False),
        *(Client(f"without {rule}", "tests.chaos.broken_work", False) for rule in RULES),
    )
}


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        seed: what it was drawn from, with the client's name.
        client: who does the work.
        fault_set: what goes wrong besides the kill.
        specs: the emulator's faults.
        kills: where the first try of each installation dies, as `Boundaries` takes it; None where it does not.
        ignored: signals that the first tries ignore, as `nohup` lets them.
        pause_s: real seconds between two tries.
        offsets_s: real seconds after which each of the first tries of an installation begins.
        jumps: how the wall clock of each round of tries is set, as `QuickClock` takes it.
        exit_code: what the command says.
    """

    seed: str
    client: Client
    fault_set: FaultSet
    specs: tuple[dict[str, Any], ...]
    kills: tuple[dict[str, Any] | None, ...]
    ignored: tuple[str, ...]
    pause_s: float
    offsets_s: tuple[float, ...]
    jumps: tuple[tuple[tuple[float, float], ...], ...]
    exit_code: int

    @property
    def key(self) -> str:
        """The work key: the same in all installations."""
        return f"chaos/{self.client.name.replace(' ', '-')}/{self.seed}"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Of the installations; one that is alone has none."""
        return ("",) if self.fault_set.installations == 1 else NAMESPACES[: self.fault_set.installations]

    def full_key(self, namespace: str) -> str:
        """The rental key that an installation's sessions carry."""
        return f"{namespace}/{self.key}" if namespace else self.key


def draw(seed: str, client: str, points: Mapping[str, int], fault: str | None = None) -> Plan:
    """The run that a seed stands for.

    Args:
        seed: any text.
        client: a name in `CLIENTS`.
        points: the boundaries of a run without faults, sorted, and how often it crosses each.
        fault: the name of a fault set; None draws one.
    """
    rng = random.Random(f"{seed}/plan")
    fault_set = rng.choice(FAULT_SETS) if fault is None else BY_NAME[fault]
    specs = tuple(fault_set.specs(rng))
    kills = [_kill(rng, fault_set, points) for _ in range(fault_set.installations)]
    if fault_set.tries_at_once > 1 and rng.random() < 0.4:
        kills = [None] * fault_set.installations
    # The others live on in every second run.
    kills = [kill if n == 0 or rng.random() < 0.5 else None for n, kill in enumerate(kills)]
    ignored = fault_set.signals if fault_set.signals and rng.random() < 0.15 else ()
    return Plan(
        seed=seed,
        client=CLIENTS[client],
        fault_set=fault_set,
        specs=specs,
        kills=tuple(kills),
        ignored=ignored,
        pause_s=rng.choice((0.0, 0.0, 0.05, 0.4)),
        offsets_s=(0.0, *(round(rng.uniform(0.0, 0.03), 4) for _ in range(fault_set.tries_at_once - 1))),
        jumps=tuple(_jumps(rng) if fault_set.jumps else () for _ in range(TRIES)),
        exit_code=rng.choice((0, 0, 3)),
    )


def _kill(rng: random.Random, fault_set: FaultSet, points: Mapping[str, int]) -> dict[str, Any] | None:
    if not fault_set.killed:
        return None
    kill: dict[str, Any]
    chance = rng.random()
    if chance < 0.8:
        # In and around the POST every third time: that is where a start can go wrong.
        near_post = [name for name in points if name.startswith("start | POST")]
        point = rng.choice(near_post if chance < 0.3 else list(points))
        kill = {"point": point, "occurrence": rng.randint(1, min(3, points[point]))}
    else:
        # Faults make boundaries that a run without them does not have.
        kill = {"number": rng.randint(1, 3 * len(points))}
    if fault_set.signals:
        kill["signal"] = rng.choice(fault_set.signals)
        if fault_set.signals_again:
            kill["again"] = rng.choice((1, 1, 2, 3, rng.randint(4, 60)))
    return kill


def _jumps(rng: random.Random) -> tuple[tuple[float, float], ...]:
    """By hours, forward or back: the clock that a try begins with, and one jump within it."""
    return (
        (0.0, round(rng.uniform(-26, 26) * 3600, 1)),
        (round(rng.uniform(0.0, 30.0), 1), round(rng.uniform(-26, 26) * 3600, 1)),
    )
