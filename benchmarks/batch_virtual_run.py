"""A batch on a virtual clock: what the coordinator does, on machines that are drawn, with our decisions."""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass

from batch_distributions import BLACK_SPEED, NOTICED_S, WEI_PER_USD, TrueMachine, World
from batch_rivals import Outcome

from octa_provider.batch.actions import Finish, Give, Leave, Race, Release, Rent, Steal
from octa_provider.batch.shares import next_actions
from octa_provider.batch.state import BatchState

POLL_S = 10.0
#: The token of an event that is a machine's, whatever process it runs.
_OF_MACHINE = -1


@dataclass
class Running:
    """A rented machine of the simulation.

    Attributes:
        true: what it is like.
        dies_at: when.
        token: counts its processes; an event of an earlier one is void.
        frames: how many it has rendered.
        began_at: when its frame began.
    """

    true: TrueMachine
    dies_at: float
    token: int = 0
    frames: int = 0
    began_at: float = 0.0


class Simulation:
    """One batch on a virtual clock, from the plan to the last frame."""

    def __init__(self, film: World, state: BatchState) -> None:
        self.film = film
        self.state = state
        self.now = 0.0
        self.true = {machine.node_id: machine for machine in film.machines}
        self.running: dict[int, Running] = {}
        self.bad_once = set(film.bad_once)
        self.line_free_at = 0.0
        self.rented = 0
        self.rendered_twice = 0
        self.peak_frames = 0
        self.decide_s = 0.0
        self._events: list[tuple[float, int, str, int, int]] = []
        self._counter = 0

    def run(self, longest_s: float) -> Outcome:
        """Run to the end, or for so many seconds."""
        self._at(0.0, "poll", -1, 0)
        while self._events:
            self.now, _, kind, slot, token = heapq.heappop(self._events)
            if kind == "poll":
                if self.now > longest_s or self._decide():
                    break
                self._at(self.now + POLL_S, "poll", -1, 0)
            elif slot in self.running and token in (_OF_MACHINE, self.running[slot].token):
                getattr(self, f"_{kind}")(slot)
        spent = self.state.spent_wei(self.now) / WEI_PER_USD
        possible = len(self.film.work) - len(self.film.bad_always)
        return Outcome(spent, self.now, len(self.state.done) >= possible, self.rented)

    def _at(self, when: float, kind: str, slot: int, token: int) -> None:
        self._counter += 1
        heapq.heappush(self._events, (when, self._counter, kind, slot, token))

    def _decide(self) -> bool:
        begun = time.process_time()
        actions = next_actions(self.state, self.now)
        self.decide_s += time.process_time() - begun
        for action in actions:
            if isinstance(action, Rent):
                self._rent(action)
            elif isinstance(action, Give):
                self.state.given(action.slot, action.frames, self.now)
                self._start(action.slot)
            elif isinstance(action, Steal):
                self.state.stolen(action.slot, action.thief, action.frames, self.now)
                self._start(action.thief)
            elif isinstance(action, Race):
                self.state.raced(action.slot, action.frame, self.now, action.cost_wei)
                self._start(action.slot)
            elif isinstance(action, Leave):
                self.state.left_alone(action.slot, action.frames)
            elif isinstance(action, Release):
                self.state.ended(action.slot, self.now, failed=action.failed)
                del self.running[action.slot]
            elif isinstance(action, Finish):
                return True
        return False

    def _rent(self, action: Rent) -> None:
        true = self.true[action.machine.node_id]
        if true.is_gone:
            self.state.refused(true.node_id)
            return
        self.rented += 1
        slot = self.state.rented(action.machine, self.now).slot
        dies_at = self.now + true.lives_s
        lost = self.film.lost_country
        if lost is not None and lost[0] == true.country and self.now < lost[1]:
            dies_at = min(dies_at, lost[1])
        self.running[slot] = Running(true, dies_at)
        if dies_at < 1e9:
            self._at(dies_at + NOTICED_S, "die", slot, _OF_MACHINE)
        if true.up_s < math.inf:
            self._at(self.now + true.up_s, "up", slot, _OF_MACHINE)

    def _up(self, slot: int) -> None:
        """It is up: the scene goes to one machine after the other."""
        self.line_free_at = max(self.line_free_at, self.now) + self.film.upload_s()
        self._at(self.line_free_at, "ready", slot, _OF_MACHINE)

    def _ready(self, slot: int) -> None:
        if self.now < self.running[slot].dies_at:
            self.state.ready(slot, self.now)

    def _die(self, slot: int) -> None:
        self.state.ended(slot, self.now, failed=True)
        del self.running[slot]

    def _start(self, slot: int) -> None:
        runner = self.running[slot]
        runner.token += 1
        self._at(self.now + self.film.load_s, "begin", slot, runner.token)

    def _begin(self, slot: int) -> None:
        runner, worker = self.running[slot], self.state.workers[slot]
        frame = worker.race if worker.race is not None else worker.share.first if worker.share else None
        if frame is None:
            return
        speed = runner.true.speed * (BLACK_SPEED if runner.true.is_black else 1.0)
        takes = self.film.work[frame] / speed + (self.film.first_frame_s if runner.frames == 0 else 0.0)
        self.state.began(slot, self.now)
        runner.began_at = self.now
        if self.now + takes < runner.dies_at:
            self._at(self.now + takes, "end", slot, runner.token)

    def _end(self, slot: int) -> None:
        runner, worker = self.running[slot], self.state.workers[slot]
        frame = worker.race if worker.race is not None else worker.share.first
        runner.frames += 1
        true = runner.true
        rivals = self.state.racing.get(frame, ())
        if true.is_black or runner.frames > true.disk_frames or frame in self.film.bad_always or frame in self.bad_once:
            self.bad_once.discard(frame)
            self.state.refused_picture(slot, frame)
        else:
            seconds = self.now - runner.began_at if runner.frames > 1 else None
            self.state.rendered(slot, frame, seconds)
            for other in rivals:
                if other != slot and other in self.running:
                    # It is stopped at the same frame: its process starts anew with what it has left.
                    self.rendered_twice += 1
                    self.running[other].token += 1
                    if self.state.workers[other].share:
                        self._start(other)
        if worker.share:
            self._begin(slot)
