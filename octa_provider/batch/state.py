"""The state of a batch that runs: which frame is where, what each machine does, what was spent. It changes only by
what has happened."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.forecast import charge_wei
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.pace import Pace, Seen
from octa_provider.batch.terms import BatchTerms
from octa_provider.batch.worker import Worker

__all__ = ["BatchState"]


#: A machine that has shown to be slower than this share of its score is not rented again.
_SLOW = 0.7


class BatchState:
    """What is so.

    Attributes:
        terms: what was asked for.
        waiting: frames that nobody has and nobody has tried.
        again: frames that nobody has, and that failed on the nodes in `tried`.
        tried: for frames that failed, the nodes.
        done: accepted frames.
        failed: frames given up.
        workers: the machines that are rented, by slot.
        candidates: machines to rent next, best first.
        pace: how hard the frames, and how fast the machines, have shown to be.
        seen: what was seen of each machine, by slot.
        racing: for frames that are raced, the slots of the owner and of the other.

    Args:
        terms: what was asked for.
        candidates: the plan's machines, then its next.
        done: frames that an earlier run left.
    """

    def __init__(self, terms: BatchTerms, candidates: Iterable[MachineEstimate], done: FrameSet | None = None) -> None:
        self.terms = terms
        self.done = done.copy() if done is not None else FrameSet()
        self.waiting = FrameSet([(0, terms.frames)])
        self.waiting.remove(self.done)
        self.again = FrameSet()
        self.tried: dict[int, tuple[int, ...]] = {}
        self.failed = FrameSet()
        self.workers: dict[int, Worker] = {}
        #: By node, best first.
        self._candidates: OrderedDict[int, MachineEstimate] = OrderedDict()
        for machine in candidates:
            self._candidates.setdefault(machine.node_id, machine)
        self._taken: set[int] = set()
        self.racing: dict[int, tuple[int, int]] = {}
        self._next_slot = 0
        self._ended_wei = 0
        self._race_wei = 0
        self.pace = Pace(terms.frames, terms.first_pass)
        for first, stop in self.done.ranges():
            self.pace.gone(first, stop)
        self.seen: dict[int, Seen] = {}

    @property
    def left(self) -> int:
        """How many frames are neither accepted nor given up."""
        return self.terms.frames - len(self.done) - len(self.failed)

    @property
    def race_wei(self) -> int:
        """What was spent, at most, on frames that were raced."""
        return self._race_wei

    def candidates(self) -> Iterator[MachineEstimate]:
        """The machines to rent next, best first."""
        return iter(self._candidates.values())

    def spent_wei(self, now: float) -> int:
        """What all machines have cost until now."""
        return self._ended_wei + sum(charge_wei(w.machine.price_wei, now - w.rented_at) for w in self.workers.values())

    def at_frame_s(self, worker: Worker, now: float) -> float:
        """For how long a machine has been at its frame, in seconds, without what its first frame takes longer."""
        if worker.frame_at is None:
            return 0.0
        extra = self.terms.first_frame_s if worker.rendered == 0 else 0.0
        return max(0.0, now - worker.frame_at - extra)

    def rented(self, machine: MachineEstimate, now: float) -> Worker:
        """A machine was rented."""
        self._take(machine.node_id)
        worker = Worker(self._next_slot, machine, now)
        self.workers[worker.slot] = worker
        self.seen[worker.slot] = Seen()
        self._next_slot += 1
        return worker

    def refused(self, node_id: int) -> None:
        """A machine could not be rented; it is not tried again."""
        self._take(node_id)

    def may_be_asked_again(self, node_id: int) -> None:
        """A machine that could not be rented may have room by now: it is one of those that `offer` takes."""
        self._taken.discard(node_id)

    def offer(self, machines: Iterable[MachineEstimate]) -> None:
        """Machines have come on the market: they are rented after those of the plan, the cheapest frame first.

        Args:
            machines: which; a node that is a candidate, rented, gone or given up already is left out.
        """
        for machine in sorted(machines, key=lambda machine: machine.price_wei / machine.speed):
            if machine.node_id not in self._taken:
                self._candidates.setdefault(machine.node_id, machine)

    def tried_before(self, tried: Mapping[int, tuple[int, ...]]) -> None:
        """Frames that an earlier run has tried: each is tried on other nodes, as often as is left.

        Args:
            tried: by frame that is not accepted, the nodes that gave no whole copy; as many as may be count for none.
        """
        for frame, nodes in tried.items():
            if frame in self.waiting and 0 < len(nodes) < self.terms.tries_per_frame:
                self.waiting.discard(frame)
                self.again.add(frame)
                self.tried[frame] = nodes

    def ready(self, slot: int, now: float) -> None:
        """A machine is up and has the scene; one that was at work before has been up since then."""
        worker = self.workers[slot]
        if worker.ready_at is None:
            worker.ready_at = now

    def goes_on(self, slot: int, frames: FrameSet, now: float, for_s: float) -> None:
        """A machine was left to itself with frames, and has shown before that it can render them.

        Args:
            slot: whose.
            frames: those that it renders.
            now: on the clock of all times.
            for_s: for how long it was at work before, in seconds.
        """
        worker = self.workers[slot]
        worker.ready_at, worker.rendered = now - for_s, 1
        self.given(slot, frames, now)

    def gave_up(self, frames: FrameSet) -> None:
        """Frames were given up before, and are not tried any more."""
        for frame in frames:
            if frame not in self.done and frame not in self.failed:
                self.waiting.discard(frame)
                self.again.discard(frame)
                self.tried.pop(frame, None)
                self.failed.add(frame)
                self.pace.gone(frame, frame + 1)

    def given(self, slot: int, frames: FrameSet, now: float) -> None:
        """A process was started with frames that nobody had."""
        self.waiting.remove(frames)
        if self.again:
            self.again.remove(frames)
        self._start(self.workers[slot], frames, now)

    def stolen(self, slot: int, thief: int, frames: FrameSet, now: float) -> None:
        """Frames went from one machine's share to another's."""
        self.workers[slot].share.remove(frames)
        self._start(self.workers[thief], frames, now)

    def raced(self, slot: int, frame: int, now: float, cost_wei: int) -> None:
        """A machine renders a frame of another's share too.

        Args:
            slot: which machine.
            frame: which frame.
            now: when it began to.
            cost_wei: what that is expected to cost, in wei.
        """
        owner = next(w.slot for w in self.workers.values() if frame in w.share)
        worker = self.workers[slot]
        self.racing[frame] = (owner, slot)
        worker.race, worker.given_at, worker.heard_at, worker.frame_at = frame, now, now, None
        self.pace.new_share(self.seen[slot])
        self._race_wei += cost_wei

    def left_alone(self, slot: int, frames: FrameSet) -> None:
        """A machine gets no more, and these frames of its share are anybody's again."""
        worker = self.workers[slot]
        worker.share.remove(frames)
        worker.leaving = True
        self._give_back(frames)

    def given_back(self, slot: int, frames: FrameSet) -> None:
        """A machine will not render these frames of its share, which are anybody's again."""
        self.workers[slot].share.remove(frames)
        self._give_back(frames)

    def began(self, slot: int, now: float) -> None:
        """A machine has begun the next frame of its share, or the one it races for."""
        self.workers[slot].frame_at = self.workers[slot].heard_at = now

    def heard(self, slot: int, now: float) -> None:
        """A frame came from a machine, whole or not: it is alive."""
        self.workers[slot].heard_at = now

    def rendered(self, slot: int, frame: int, seconds: float | None) -> bool:
        """A whole frame came from a machine.

        Args:
            slot: whose.
            frame: which.
            seconds: what it took; None when that tells nothing of the next ones, as a first frame's.

        Returns:
            Whether it is accepted: False when another copy was first.
        """
        worker = self.workers[slot]
        worker.frame_at, worker.bad = None, 0
        worker.rendered += 1
        if seconds is not None:
            self.pace.add(slot, frame, seconds * worker.machine.speed, self.seen)
        is_first = frame not in self.done and frame not in self.failed
        self._forget(worker, frame)
        for other in self.racing.pop(frame, ()):
            if other in self.workers:
                self._forget(self.workers[other], frame)
        if is_first:
            self.waiting.discard(frame)
            self.again.discard(frame)
            self.done.add(frame)
            self.pace.gone(frame, frame + 1)
            self.tried.pop(frame, None)
        return is_first

    def found(self, frame: int) -> None:
        """A whole frame is there that no machine of these has brought."""
        for worker in self.workers.values():
            self._forget(worker, frame)
        if frame not in self.done and frame not in self.failed:
            self.pace.gone(frame, frame + 1)
        self.racing.pop(frame, None)
        self.waiting.discard(frame)
        self.again.discard(frame)
        self.failed.discard(frame)
        self.tried.pop(frame, None)
        self.done.add(frame)

    def race_dropped(self, slot: int) -> None:
        """A machine does not render the frame that it raced for any more."""
        worker = self.workers[slot]
        if worker.race is not None:
            self.racing.pop(worker.race, None)
            worker.race, worker.frame_at = None, None

    def refused_picture(self, slot: int, frame: int) -> None:
        """A frame that came from a machine is not whole."""
        worker = self.workers[slot]
        worker.frame_at = None
        worker.bad += 1
        self._forget(worker, frame)
        self._missed(frame, worker, was_tried=True)

    def ended(self, slot: int, now: float, *, failed: bool) -> None:
        """A machine's session has ended: what it had is anybody's again.

        Args:
            slot: whose.
            now: when.
            failed: whether it is a machine not to take again; a good one can be rented once more.
        """
        worker = self.workers.pop(slot)
        seen = self.seen.pop(slot)
        self._ended_wei += charge_wei(worker.machine.price_wei, now - worker.rented_at)
        has_begun = worker.frame_at is not None
        if worker.race is not None:
            self._missed(worker.race, worker, was_tried=has_begun)
        elif worker.share and has_begun:
            frame = worker.share.first
            worker.share.discard(frame)
            self._missed(frame, worker, was_tried=True)
        for frame in [frame for frame, (owner, _) in self.racing.items() if owner == slot]:
            worker.share.discard(frame)
            self._missed(frame, worker, was_tried=False)
        self._give_back(worker.share)
        if not failed and seen.factor >= _SLOW:
            # Known to work, and cheaper than what comes next in the plan, or it had not been rented before that.
            self._taken.discard(worker.machine.node_id)
            self._candidates[worker.machine.node_id] = worker.machine
            self._candidates.move_to_end(worker.machine.node_id, last=False)

    def _take(self, node_id: int) -> None:
        self._taken.add(node_id)
        self._candidates.pop(node_id, None)

    def _start(self, worker: Worker, frames: FrameSet, now: float) -> None:
        worker.share.update(frames)
        worker.given_at, worker.heard_at, worker.frame_at = now, now, None
        self.pace.new_share(self.seen[worker.slot])

    def _forget(self, worker: Worker, frame: int) -> None:
        if worker.race == frame:
            worker.race, worker.frame_at = None, None
        if worker.share and worker.share.first == frame:
            worker.frame_at = None
        worker.share.discard(frame)

    def _give_back(self, frames: FrameSet) -> None:
        self.waiting.update(frames)
        for frame in [frame for frame in self.tried if frame in frames]:
            self.waiting.discard(frame)
            self.again.add(frame)

    def _missed(self, frame: int, worker: Worker, *, was_tried: bool) -> None:
        """A machine that had a frame will not bring it; one that had not begun it has not tried it."""
        if frame in self.done or frame in self.failed:
            return
        if was_tried:
            self.tried[frame] = (*self.tried.get(frame, ()), worker.machine.node_id)
        rivals = [slot for slot in self.racing.pop(frame, ()) if slot != worker.slot and slot in self.workers]
        if rivals:
            # The other one of the race has it alone now.
            rival = self.workers[rivals[0]]
            if rival.race == frame:
                rival.race = None
                rival.share.add(frame)
        elif len(self.tried.get(frame, ())) >= self.terms.tries_per_frame:
            del self.tried[frame]
            self.failed.add(frame)
            self.pace.gone(frame, frame + 1)
        elif frame in self.tried:
            self.again.add(frame)
        else:
            self.waiting.add(frame)
