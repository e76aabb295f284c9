"""Machines and a virtual run for the tests of batches: what a coordinator does, without a network or a clock."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from octa_provider.batch.actions import Action, Finish, Give, Leave, Race, Release, Rent, Steal
from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.shares import next_actions
from octa_provider.batch.state import BatchState
from octa_provider.batch.terms import BatchTerms
from octa_provider.batch.worker import Worker
from octa_provider.market.ranking import Ranking, rank
from octa_provider.market.requirements import Requirements
from octa_provider.models import Machine

WEI_PER_USD = 10**19


def machine(node_id: int, score: float | None = 8000.0, usd: float | None = 0.4, **fields: Any) -> Machine:
    wei = int(usd * WEI_PER_USD) if usd is not None and usd == usd and usd < 1e9 else None
    return Machine(**{"node_id": node_id, "blender_score": score, "price_usd": usd, "price_wei": wei, **fields})


def market(count: int, seed: int = 1) -> list[Machine]:
    chance = random.Random(seed)
    return [
        machine(node, 8000 * chance.lognormvariate(0, 0.5), 0.4 * chance.lognormvariate(0, 0.6))
        for node in range(1, count + 1)
    ]


def ranked(machines: list[Machine]) -> Ranking:
    return rank(machines, Requirements())


def estimates(count: int, seed: int = 1, frame_s: float = 60.0) -> list[MachineEstimate]:
    return [
        MachineEstimate(m.node_id, m.price_wei or 1, m.price_usd or 0.0, (m.blender_score or 1) / 8000 / frame_s, 150.0)
        for m in market(count, seed)
    ]


class VirtualRun:
    """A batch in steps of ten seconds, on machines that fail as `chance` has it.

    What must hold is checked after each step.
    """

    STEP_S = 10.0

    def __init__(
        self,
        terms: BatchTerms,
        machines: list[MachineEstimate],
        chance: random.Random,
        *,
        dies: float = 0.0,
        bad: float = 0.0,
        gone: float = 0.0,
        always_bad: frozenset[int] = frozenset(),
        check: Callable[[VirtualRun], None] = lambda run: None,
    ) -> None:
        self.state = BatchState(terms, machines)
        self.chance = chance
        self.now = terms.began_at
        self.dies, self.bad, self.gone, self.always_bad = dies, bad, gone, always_bad
        self.check = check
        self.outcome: str | None = None
        self.actions: list[Action] = []
        self.most_at_once = 0
        #: For each frame, the nodes that have begun it.
        self.begun: dict[int, list[int]] = {}
        self.accepted: Counter[int] = Counter()
        self.true_speed = {m.node_id: m.speed * chance.lognormvariate(0, 0.2) for m in machines}

    def run(self, steps: int) -> VirtualRun:
        for _ in range(steps):
            for action in next_actions(self.state, self.now):
                self.actions.append(action)
                self._do(action)
            self.most_at_once = max(self.most_at_once, len(self.state.workers))
            self.check(self)
            if self.outcome is not None:
                return self
            self.now += self.STEP_S
            for worker in list(self.state.workers.values()):
                self._pass(worker)
            self.check(self)
        return self

    def _do(self, action: Action) -> None:
        state, now = self.state, self.now
        if isinstance(action, Rent):
            if self.chance.random() < self.gone:
                state.refused(action.machine.node_id)
            else:
                state.rented(action.machine, now)
        elif isinstance(action, Give):
            state.given(action.slot, action.frames, now)
        elif isinstance(action, Steal):
            state.stolen(action.slot, action.thief, action.frames, now)
        elif isinstance(action, Race):
            state.raced(action.slot, action.frame, now, action.cost_wei)
        elif isinstance(action, Leave):
            state.left_alone(action.slot, action.frames)
        elif isinstance(action, Release):
            state.ended(action.slot, now, failed=action.failed)
        elif isinstance(action, Finish):
            self.outcome = action.outcome

    def _pass(self, worker: Worker) -> None:
        """Ten seconds of one machine."""
        state, slot = self.state, worker.slot
        if slot not in state.workers:
            return
        if self.chance.random() < self.dies:
            state.ended(slot, self.now, failed=True)
        elif worker.ready_at is None:
            if self.now - worker.rented_at > 100:
                state.ready(slot, self.now)
        elif worker.frame_at is None:
            if not worker.is_idle and self.now - worker.given_at >= state.terms.load_s:
                self._begin(worker)
        else:
            frame = worker.race if worker.race is not None else worker.share.first
            takes = 1 / self.true_speed[worker.machine.node_id]
            if self.now - worker.frame_at < takes:
                return
            if frame in self.always_bad or self.chance.random() < self.bad:
                state.refused_picture(slot, frame)
            elif state.rendered(slot, frame, takes):
                self.accepted[frame] += 1
            if worker.share and worker.frame_at is None:
                self._begin(worker)

    def _begin(self, worker: Worker) -> None:
        frame = worker.race if worker.race is not None else worker.share.first
        self.begun.setdefault(frame, []).append(worker.machine.node_id)
        self.state.began(worker.slot, self.now)


def places(state: BatchState) -> Counter[int]:
    """How many times each frame is somewhere: waiting, in a share, accepted or given up."""
    found: Counter[int] = Counter()
    for frames in (state.waiting, state.again, state.done, state.failed):
        found.update(frames)
    for worker in state.workers.values():
        found.update(worker.share)
    return found
