"""What one run does, drawn from its seed alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.fault_sets import BY_NAME, FAULT_SETS, FaultSet

TRIES = 5
#: Real seconds for one request. Shorter than what the delays of the faults take.
TIMEOUT_S = 0.15


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


CLIENTS = {
    client.name: client
    for client in (
        Client("rental", "tests.chaos.rental_work", True),
        Client("job", "tests.chaos.job_work", True),
        Client("plain", "tests.chaos.plain_work", False),
        Client("sdk", "tests.chaos.sdk_work", False),
        Client("without adoption", "tests.chaos.broken_work", False),
        Client("without settling", "tests.chaos.broken_work", False),
        Client("without seeing it gone", "tests.chaos.broken_work", False),
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
        kill: where the first try dies, as `Boundaries` takes it.
        pause_s: real seconds between two tries.
        offsets_s: real seconds after which each of the first tries begins.
        exit_code: what the command says.
    """

    seed: str
    client: Client
    fault_set: FaultSet
    specs: tuple[dict[str, Any], ...]
    kill: dict[str, Any] | None
    pause_s: float
    offsets_s: tuple[float, ...]
    exit_code: int

    @property
    def key(self) -> str:
        """The rental key of its work."""
        return f"chaos/{self.client.name.replace(' ', '-')}/{self.seed}"


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
    kill: dict[str, Any] | None = None
    if fault_set.killed:
        chance = rng.random()
        if chance < 0.8:
            # In and around the POST every third time: that is where a start can go wrong.
            near_post = [name for name in points if name.startswith("start | POST")]
            point = rng.choice(near_post if chance < 0.3 else list(points))
            kill = {"point": point, "occurrence": rng.randint(1, min(3, points[point]))}
        else:
            # Faults make boundaries that a run without them does not have.
            kill = {"number": rng.randint(1, 3 * len(points))}
    if fault_set.tries_at_once > 1 and rng.random() < 0.4:
        kill = None
    return Plan(
        seed=seed,
        client=CLIENTS[client],
        fault_set=fault_set,
        specs=specs,
        kill=kill,
        pause_s=rng.choice((0.0, 0.0, 0.05, 0.4)),
        offsets_s=(0.0, *(round(rng.uniform(0.0, 0.03), 4) for _ in range(fault_set.tries_at_once - 1))),
        exit_code=rng.choice((0, 0, 3)),
    )
