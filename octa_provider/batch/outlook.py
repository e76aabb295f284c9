"""What is left to do, and what each machine can do of it: one look at the state of a batch, for all its decisions."""

from __future__ import annotations

import math

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.state import BatchState
from octa_provider.batch.worker import Worker

__all__ = ["Outlook"]

#: The share of the time until the deadline that is kept for the last frames, at least and at most.
_LAST = 0.03
_LAST_MOST = 0.2
#: And the share of the longest frame that is being rendered: few of the last ones are as long.
_LAST_FRAME = 0.3
_UNTOLD = 0.2
#: However much was seen, so much stays uncertain.
_LEAST_SIGMA = 0.03


class Outlook:
    """A look at a state at a time. Work is counted in frames of the estimate, see `octa_provider.batch.pace`.

    Args:
        state: what is so.
        now: on the caller's clock, in seconds.

    Attributes:
        state, now: the same.
        target_at: when the batch is aimed to be done: a little before the deadline.
        frame_work: the work of an average frame that nobody has.
        speed: by slot, the work a second that each machine does.
        expected_work: by slot, the work of the frame it is at, as those before it had it: its own speed included.
        next_work: by slot, the work of the frame it is at, as a machine that keeps its score would do it.
        share_work: by slot, the work of an average frame of its share, as a machine that keeps its score would do it.
    """

    def __init__(self, state: BatchState, now: float) -> None:
        self.state = state
        self.now = now
        terms = state.terms
        workers = state.workers
        self._begun = {
            worker.share.first: state.at_frame_s(worker, now) * worker.machine.speed * state.seen[slot].factor
            for slot, worker in workers.items()
            if worker.frame_at is not None and worker.share
        }
        self.frame_work = state.pace.average(self._begun)
        #: Whether most places that were begun have told how hard they are: the easy ones tell first.
        self.is_settled = state.pace.untold(self._begun) <= _UNTOLD * state.pace.sites
        self.speed: dict[int, float] = {}
        self.share_work: dict[int, float] = {}
        self.expected_work: dict[int, float] = {}
        self.next_work: dict[int, float] = {}
        self._more = 0.0
        self._nobodys = len(state.waiting) + len(state.again)
        self._starting = sum(worker.ready_at is None for worker in workers.values())
        self._stealable: list[tuple[float, float, float, int]] | None = None
        for slot, worker in workers.items():
            seen = state.seen[slot]
            self.speed[slot] = worker.machine.speed * seen.factor
            place = worker.share.first if worker.share else None
            average = state.pace.near(place, self.frame_work) if place is not None else self.frame_work
            self.expected_work[slot] = state.pace.of_share(seen, average)
            near = self._of_share(worker) * seen.factor
            self.next_work[slot] = near
            frames = len(worker.share)
            more = (near - average) * state.pace.alike(frames)
            self._more += more
            self.share_work[slot] = average + more / frames if frames else near
        # The last frames are as long as the longest that is being rendered.
        longest_s = max((self.own_frame_s(worker) for worker in workers.values() if worker.share), default=0.0)
        whole_s = terms.finish_at - terms.began_at
        last_s = min(_LAST * whole_s + _LAST_FRAME * (longest_s + terms.load_s), _LAST_MOST * whole_s)
        self.target_at = terms.finish_at - last_s

    @property
    def progress(self) -> float:
        """Which share of the time until the target has passed."""
        began_at = self.state.terms.began_at
        return min(1.0, (self.now - began_at) / max(1.0, self.target_at - began_at))

    def work_left(self) -> float:
        """All the work that is left."""
        return max(0.0, self.state.pace.work_left(self.frame_work, self._begun) + self._more)

    def sigma(self) -> float:
        """How uncertain that is, as the spread of its logarithm: each place of the film that was seen tells more."""
        return math.hypot(self.state.terms.work_sigma / math.sqrt(1 + self.state.pace.sites / 3), _LEAST_SIGMA)

    def frame_s(self, worker: Worker) -> float:
        """Seconds that a frame nobody has takes a machine."""
        return self.frame_work / self.speed[worker.slot]

    def own_frame_s(self, worker: Worker) -> float:
        """Seconds that a frame of its share takes a machine."""
        return self.share_work[worker.slot] / self.speed[worker.slot]

    def candidate_frame_s(self, machine: MachineEstimate) -> float:
        """Seconds that a frame takes a machine that is not rented."""
        return self.frame_work / machine.speed

    def ends_in_s(self, worker: Worker) -> float:
        """Seconds until a machine has rendered its share."""
        frame_s = self.own_frame_s(worker)
        whole_s = len(worker.share) * frame_s
        if worker.frame_at is None:
            return max(0.0, worker.given_at + self.state.terms.load_s - self.now) + whole_s
        return whole_s - min(self.state.at_frame_s(worker, self.now), 0.7 * frame_s)

    def could_do(self, worker: Worker, until: float) -> float:
        """How much work a machine can do by then; one that leaves, its share."""
        if worker.leaving:
            return len(worker.share) * self.share_work[worker.slot]
        if worker.ready_at is not None:
            return self.speed[worker.slot] * max(0.0, until - self.now)
        start_s = worker.machine.start_s + worker.machine.upload_s
        ready_at = max(worker.rented_at + start_s, self.now + 0.3 * start_s)
        return max(0.0, self.speed[worker.slot] * (until - ready_at) - 0.5 * self.frame_work)

    def has_for(self, machine: MachineEstimate, others: int, waits_s: float) -> bool:
        """Whether there is a frame left that a machine that is rented now renders sooner than the one that has it.

        Args:
            machine: which.
            others: how many that are rented now come before it.
            waits_s: seconds until its turn to get the scene.
        """
        coming = others + self._starting
        frames = self._nobodys
        if frames > coming:
            return True
        soonest_s = machine.start_s + machine.upload_s + waits_s
        for ends_in_s, work, own_s, count in self._others_have():
            late_s = ends_in_s - soonest_s - work / machine.speed
            if late_s <= 0:
                continue
            frames += 1 + min(count - 2, int(late_s / own_s))
            if frames > coming:
                return True
        return False

    def _others_have(self) -> list[tuple[float, float, float, int]]:
        """Of each share that can be stolen from: its end in seconds, the work of a frame, what that takes, how many."""
        if self._stealable is None:
            self._stealable = [
                (self.ends_in_s(w), self.share_work[w.slot], self.own_frame_s(w), len(w.share))
                for w in self.state.workers.values()
                if self.state.terms.can_skip and not w.leaving and len(w.share) > 1
            ]
            # The latest first: they have the most to give.
            self._stealable.sort(reverse=True)
        return self._stealable

    def candidate_could_do(self, machine: MachineEstimate, until: float, waits_s: float = 0.0) -> float:
        """How much work a machine that is rented now can do by then.

        Args:
            machine: which.
            until: on the caller's clock.
            waits_s: seconds until its turn to get the scene.
        """
        runs_s = until - self.now - machine.start_s - machine.upload_s - waits_s
        return machine.speed * runs_s - 0.5 * self.frame_work

    def _of_share(self, worker: Worker) -> float:
        state = self.state
        seen = state.seen[worker.slot]
        work = self.expected_work[worker.slot]
        # The frame it is at counts as soon as it takes longer than the others did.
        at_it = state.at_frame_s(worker, self.now) * worker.machine.speed
        return work if at_it <= work else (work * (seen.frames + 2) + at_it) / (seen.frames + 3)
