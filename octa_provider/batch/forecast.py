"""How a choice of machines is expected to end: when, and for how much, with the spread of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from octa_provider.batch.choose import Choice, Fleet
from octa_provider.batch.estimate import SPEED_SIGMA, START_SIGMA_S

__all__ = ["MOST_SIGMAS", "Forecast", "charge_wei", "deviate"]

#: Where the tail of the distribution is cut for "at most".
MOST_SIGMAS = 2.33


def deviate(confidence: float) -> float:
    """How many standard deviations above the middle a share of `confidence` lies: 1.28 for 0.9."""
    return NormalDist().inv_cdf(confidence)


def charge_wei(price_wei: int, seconds: float) -> int:
    """What so many seconds cost, exact but for the last wei, which is rounded up.

    Args:
        price_wei: wei per hour.
        seconds: how long, in seconds.
    """
    milliseconds = math.ceil(max(0.0, seconds) * 1000)
    return -(-price_wei * milliseconds // 3_600_000)


@dataclass(frozen=True)
class Forecast:
    """A choice of machines with the work they do.

    Args:
        fleet: what the machines are of.
        choice: the machines.
        work: frames, as the middle estimate has it.
        work_sigma: how uncertain the work is, as the spread of its logarithm.
        least_s: no earlier end than this, whatever the machines do: our own line.
    """

    fleet: Fleet
    choice: Choice
    work: float
    work_sigma: float
    least_s: float = 0.0

    def sigma_by(self, within_s: float) -> float:
        """How uncertain it is whether the work is done by then, work and machines together."""
        mean, variance = 0.0, 0.0
        for at, ready in zip(self.choice.picked, self.choice.ready_s, strict=True):
            speed, runs = self.fleet.speed[at], max(0.0, within_s - ready)
            mean += speed * runs
            variance += speed * speed * (SPEED_SIGMA**2 * runs * runs + START_SIGMA_S**2)
        machines = math.sqrt(variance) / mean if mean > 0 else 1.0
        return math.hypot(self.work_sigma, min(1.0, machines))

    def finish_s(self, sigmas: float, sigma: float) -> float:
        """When the work is done if it is `sigmas` times `sigma` more than expected.

        Args:
            sigmas: 0 for the middle, 1.28 for nine in ten.
            sigma: from `sigma_by`.
        """
        work = self.work * math.exp(sigmas * sigma)
        speed, started = 0.0, 0.0
        ready = sorted(zip(self.choice.ready_s, self.choice.picked, strict=True))
        finish = math.inf
        for begins, at in ready:
            if begins >= finish:
                break
            speed += self.fleet.speed[at]
            started += self.fleet.speed[at] * begins
            finish = (work + started) / speed
        return max(finish, self.least_s)

    def cost_wei(self, finish_s: float) -> int:
        """What the machines cost until then, in wei."""
        machines = self.fleet.machines
        return sum(
            charge_wei(machines[at].price_wei, max(finish_s, rent + machines[at].start_s) - rent)
            for at, rent in zip(self.choice.picked, self.choice.rent_s, strict=True)
        )

    def most_wei(self, sigma: float) -> int:
        """What they cost at most: above it the batch is stopped."""
        return self.cost_wei(self.finish_s(MOST_SIGMAS, sigma)) * 105 // 100

    def cost_shares(self, finish_s: float) -> tuple[float, float]:
        """Which shares of the money go into starting, and into sending the scene."""
        total, starting, sending = 0.0, 0.0, 0.0
        fleet = self.fleet
        for at, rent in zip(self.choice.picked, self.choice.rent_s, strict=True):
            start_s = fleet.machines[at].start_s
            runs_s = max(finish_s - rent, start_s)
            total += fleet.price[at] * runs_s
            starting += fleet.price[at] * start_s
            # The last to get the scene may still be getting it when the others are done.
            sending += fleet.price[at] * min(fleet.upload[at], runs_s - start_s)
        return (starting / total, sending / total) if total > 0 else (0.0, 0.0)

    def frames_each(self, frames: int, finish_s: float) -> tuple[int, ...]:
        """How many frames each machine is expected to render; their sum is `frames`."""
        parts = [
            self.fleet.speed[at] * max(0.0, finish_s - ready)
            for at, ready in zip(self.choice.picked, self.choice.ready_s, strict=True)
        ]
        return _whole_parts(parts, frames)


def _whole_parts(parts: Sequence[float], total: int) -> tuple[int, ...]:
    whole = sum(parts)
    edges: list[int] = []
    so_far = 0.0
    for part in parts:
        so_far += part
        edges.append(round(total * so_far / whole) if whole > 0 else 0)
    if edges:
        edges[-1] = total
    return tuple(high - low for low, high in zip([0, *edges[:-1]], edges, strict=True))
