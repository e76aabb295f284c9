"""Subjects that take turns in one run, so that a busy machine is unfair to all alike; ratios of CPU time."""

from __future__ import annotations

import gc
import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: CPU seconds that something took.
Measure = Callable[[], float]


@dataclass(frozen=True)
class Goal:
    """What a subject must reach.

    Attributes:
        subject: whose figure it is.
        against: the subject it is divided by; None for CPU seconds as they are.
        most: the figure may be so much.
    """

    subject: str
    against: str | None
    most: float


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        title: what is measured.
        yardstick: the subject that is 1.00.
        seconds: CPU seconds of each subject, a figure a round.
        goal: what is to be reached.
        unit: what is counted instead, such as `bytes`, where it is not CPU seconds.
    """

    title: str
    yardstick: str
    seconds: Mapping[str, Sequence[float]]
    goal: Goal
    unit: str = ""

    def ratios(self, subject: str, against: str | None = None) -> list[float]:
        """A subject over another (the yardstick when left out), round by round."""
        return [
            one / other
            for one, other in zip(self.seconds[subject], self.seconds[against or self.yardstick], strict=True)
        ]

    @property
    def figure(self) -> float:
        """The figure that the goal is about."""
        goal = self.goal
        if goal.against is None:
            return statistics.median(self.seconds[goal.subject])
        return statistics.median(self.ratios(goal.subject, goal.against))

    @property
    def is_reached(self) -> bool:
        """Whether the goal is."""
        return self.figure <= self.goal.most

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "title": self.title,
            "yardstick": self.yardstick,
            self.unit or "cpu_seconds": {name: list(seconds) for name, seconds in self.seconds.items()},
            "figure": self.figure,
            "goal": self.goal.most,
            "reached": self.is_reached,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any], goal: Goal) -> Row:
        """What `to_dict` has told, of a process with another Python."""
        unit = next(name for name, value in told.items() if isinstance(value, Mapping))
        return cls(told["title"], told["yardstick"], told[unit], goal, unit="" if unit == "cpu_seconds" else unit)

    def table(self) -> str:
        """For a person."""
        lines = [self.title, f"  {'':<26}{'ratio':>8}{'quartiles':>16}{self.unit or 'CPU ms':>11}"]
        scale = 1 if self.unit else 1e3
        for name, seconds in self.seconds.items():
            low, middle, high = statistics.quantiles(self.ratios(name), n=4)
            lines.append(
                f"  {name:<26}{middle:>8.2f}{f'{low:.2f}-{high:.2f}':>16}{statistics.median(seconds) * scale:>11.3f}"
            )
        goal = self.goal
        what = (
            f"{goal.subject} over {goal.against}" if goal.against else f"{self.unit or 'CPU seconds'} of {goal.subject}"
        )
        verdict = "reached" if self.is_reached else "missed"
        return "\n".join([*lines, f"  {what}: {self.figure:.3f}, goal at most {goal.most:g}: {verdict}"])


def in_turn(subjects: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Measure each subject once a round, in an order that is drawn anew; a first round warms up and is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name in random.sample(list(subjects), len(subjects)):
            took = subjects[name]()
            if number:
                seconds[name].append(took)
    return seconds


def calls(call: Callable[[], object], times: int) -> Measure:
    """The CPU of this process for one of so many calls."""

    def measure() -> float:
        gc.collect()
        begun = time.process_time()
        for _ in range(times):
            call()
        return (time.process_time() - begun) / times

    return measure


def process(command: Sequence[str], environment: Mapping[str, str]) -> Measure:
    """The CPU of a process of its own, until it ends; SystemExit when it fails."""

    def measure() -> float:
        child = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)[:200]} ended with {child.returncode}")
        return used.ru_utime + used.ru_stime

    return measure
