"""What comes next in a batch: who renders which frames. Pure: it looks at a state and a time, and changes nothing."""

from __future__ import annotations

import heapq
import math

from octa_provider.batch.actions import Action, Finish, Give, Leave, Race, Release, Rent, Steal
from octa_provider.batch.fleet import fleet_actions, give_up
from octa_provider.batch.forecast import charge_wei
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.outlook import Outlook
from octa_provider.batch.state import BatchState
from octa_provider.batch.worker import Worker

__all__ = ["next_actions", "share_size"]

#: A share takes at least so many times what its process needs to load the scene.
_LEAST_LOADS = 10.0
#: And at most so long, where a process can't be told to skip frames.
_LONGEST_S = 1200.0
#: But as long as this many pauses, where machines are left to themselves.
_PAUSES = 1.5
#: With more ranges than this that nobody has, the first is as good as the longest.
_MOST_GAPS = 200
#: A thief must end before this share of the time that the other one still needs.
_STEAL_BEFORE = 0.9
#: At most this share of the money goes into frames that are raced.
_RACE_SHARE = 0.05
#: A frame that takes so many times what it should is raced, whatever the deadline.
_RACE_AFTER = 3.0


def next_actions(state: BatchState, now: float) -> list[Action]:
    """What to do now, in this order. Ask again after it was done, every few seconds.

    Args:
        state: what is so; it is not changed.
        now: on the clock that the state's times are of, in seconds.

    Returns:
        The actions; empty when all is well. The last is `Finish` when nothing is left to do.
    """
    terms = state.terms
    if state.left == 0:
        return _ending(state, "whole" if not state.failed else "incomplete", "no frame is left")
    if terms.max_failed_frames is not None and len(state.failed) > terms.max_failed_frames:
        return _ending(state, "incomplete", "more frames were given up than the batch allows")
    if terms.max_cost_wei is not None and state.spent_wei(now) >= terms.max_cost_wei:
        return _ending(state, "over budget", "the budget is spent")
    look = Outlook(state, now)
    hopeless = give_up(look)
    if hopeless:
        # What they had is shared out when they have ended.
        return list(hopeless)
    actions: list[Action] = list(fleet_actions(look))
    leaving = {action.slot for action in actions if isinstance(action, Leave)}
    leaving |= {worker.slot for worker in state.workers.values() if worker.leaving}
    idle = [worker for worker in state.workers.values() if worker.is_idle]
    actions += [Release(worker.slot, "it is not needed any more") for worker in idle if worker.slot in leaving]
    # The fastest first: it gets the largest share.
    idle = sorted((w for w in idle if w.slot not in leaving), key=lambda worker: -look.speed[worker.slot])
    idle = _gives(look, idle, leaving, actions)
    if not any(isinstance(action, Leave) and action.frames for action in actions):
        idle = _steals(look, idle, leaving, actions)
        idle = _races(look, idle, actions)
        actions += [Release(worker.slot, "nothing is left for it") for worker in idle]
    actions += _other_nodes(state, actions)
    ended = sum(isinstance(action, Release) for action in actions)
    if ended == len(state.workers) and not any(isinstance(action, Rent) for action in actions):
        actions.append(Finish("incomplete"))
    return actions


def share_size(pool: int, part: float, frame_s: float, load_s: float, *, can_skip: bool, pause_s: float = 0.0) -> int:
    """How many frames a machine gets: half of its part of what is left, within bounds.

    Args:
        pool: frames that nobody has.
        part: the machine's part of the speed of all.
        frame_s: seconds that a frame takes it.
        load_s: seconds that a process needs before its first frame.
        can_skip: whether frames can be taken back from a running process; then no share is too long.
        pause_s: machines are to be left to themselves for so many seconds.
    """
    own = pool * part
    size = max(math.ceil(own), math.floor(_LEAST_LOADS * load_s / frame_s))
    if not can_skip:
        size = min(size, math.floor(max(_LONGEST_S, _PAUSES * pause_s) / frame_s))
    # At the end all are to end together.
    return max(1, min(size, pool if can_skip else math.ceil(own)))


def _ending(state: BatchState, outcome: str, reason: str) -> list[Action]:
    return [*(Release(slot, reason) for slot in state.workers), Finish(outcome)]


def _gives(look: Outlook, idle: list[Worker], leaving: set[int], actions: list[Action]) -> list[Worker]:
    """Share out what nobody has; returns the machines that got nothing."""
    state = look.state
    if not idle or not (state.waiting or state.again):
        return idle
    waiting, again = state.waiting.copy(), list(state.again)
    total = sum(look.speed[w.slot] for w in state.workers.values() if w.slot not in leaving)
    left: list[Worker] = []
    for worker in idle:
        node_id = worker.machine.node_id
        part = look.speed[worker.slot] / total
        far_apart = waiting.count_below(state.terms.first_pass)
        if far_apart:
            # All take part in the first pass, or one machine would render it alone while the others fill gaps.
            size = min(far_apart, math.ceil(state.terms.first_pass * part))
        else:
            size = share_size(
                len(waiting) + len(again),
                part,
                look.frame_s(worker),
                state.terms.load_s,
                can_skip=state.terms.can_skip,
                pause_s=state.terms.pause_s,
            )
        retried = [frame for frame in again if node_id not in state.tried[frame]][:size]
        frames = FrameSet([(frame, frame + 1) for frame in retried])
        if retried:
            again = [frame for frame in again if frame not in frames]
        # Where a machine renders more than a place of the film, shares are far enough apart by themselves.
        is_long = state.terms.frames > state.pace.place * len(state.workers)
        if far_apart or is_long or len(waiting.ranges()) > _MOST_GAPS:
            frames.update(waiting.take_first(size - len(frames)))
        else:
            frames.update(_from_the_largest_gap(waiting, size - len(frames)))
        if frames:
            actions.append(Give(worker.slot, frames))
        else:
            left.append(worker)
    return left


def _from_the_largest_gap(waiting: FrameSet, size: int) -> FrameSet:
    """Frames from the middle of the longest range that nobody has: so that all of the film is heard of early, and no
    hard shot at its end comes as a surprise."""
    first, stop = max(waiting.ranges(), key=lambda pair: pair[1] - pair[0], default=(0, 0))
    return waiting.take_from((first + stop) // 2 if 2 * size <= stop - first else first, size)


def _steals(look: Outlook, idle: list[Worker], leaving: set[int], actions: list[Action]) -> list[Worker]:
    """Take frames from the shares with the latest ends; returns the machines that took none."""
    workers = look.state.workers
    if not idle or not look.state.terms.can_skip:
        return idle
    victims = [
        (-look.ends_in_s(worker), worker.slot)
        for worker in workers.values()
        if len(worker.share) > 1 and worker.slot not in leaving
    ]
    heapq.heapify(victims)
    shares: dict[int, FrameSet] = {}
    left: list[Worker] = []
    for thief in idle:
        if not victims:
            left.append(thief)
            continue
        ends_in_s, slot = -victims[0][0], victims[0][1]
        share = shares.get(slot) or workers[slot].share.copy()
        count = _worth_stealing(look, thief, workers[slot], len(share), ends_in_s)
        # It gets none that it has tried, nor those before one.
        own = [frame for frame, nodes in look.state.tried.items() if thief.machine.node_id in nodes and frame in share]
        if own:
            count = min(count, len(share) - share.count_below(max(own) + 1))
        if count == 0:
            left.append(thief)
            continue
        actions.append(Steal(slot, thief.slot, share.take_last(count)))
        shares[slot] = share
        heapq.heappop(victims)
        if len(share) > 1:
            heapq.heappush(victims, (-(ends_in_s - count * look.own_frame_s(workers[slot])), slot))
    return left


def _worth_stealing(look: Outlook, thief: Worker, victim: Worker, frames: int, ends_in_s: float) -> int:
    """How many of its last frames a thief takes, so that both end together; 0 when that is no gain."""
    load_s = look.state.terms.load_s
    theirs_s = look.own_frame_s(victim)
    mine_s = look.share_work[victim.slot] / look.speed[thief.slot]
    count = min(frames - 1, math.floor((ends_in_s - load_s) / (mine_s + theirs_s)))
    if count < 1:
        count = 1
    if load_s + count * mine_s >= _STEAL_BEFORE * ends_in_s:
        return 0
    dearer = thief.machine.price_wei * (load_s + count * mine_s) > victim.machine.price_wei * count * theirs_s
    # There is time, and it costs less to leave them where they are. Time as certain as the one that machines are rented
    # for, or one would be rented for frames that it does not get, again and again.
    certain_s = ends_in_s * math.exp(look.state.terms.sigmas * look.sigma())
    return 0 if dearer and look.now + certain_s < look.target_at else count


def _races(look: Outlook, idle: list[Worker], actions: list[Action]) -> list[Worker]:
    """Render frames a second time where a machine is late with them; returns the machines that race none."""
    if not idle:
        return idle
    state, now = look.state, look.now
    most_wei = _RACE_SHARE * state.spent_wei(now) - state.race_wei
    late: list[tuple[float, Worker]] = []
    for worker in state.workers.values():
        if worker.frame_at is None or not worker.share or worker.share.first in state.racing:
            continue
        at_it_s, frame_s = state.at_frame_s(worker, now), look.next_work[worker.slot] / look.speed[worker.slot]
        # The longer it has taken, the longer it will still take.
        ends_in_s = max(frame_s - at_it_s, 0.5 * at_it_s)
        expected = max(look.frame_work, look.expected_work[worker.slot])
        if now + ends_in_s > look.target_at or at_it_s > _RACE_AFTER * expected / worker.machine.speed:
            late.append((ends_in_s, worker))
    late.sort(key=lambda pair: -pair[0])
    left: list[Worker] = []
    for racer in idle:
        for place, (ends_in_s, worker) in enumerate(late):
            frame = worker.share.first
            tried = state.tried.get(frame, ())
            work = max(look.frame_work, look.expected_work[worker.slot] * state.seen[worker.slot].factor)
            needs_s = state.terms.load_s + work / look.speed[racer.slot]
            cost_wei = charge_wei(racer.machine.price_wei, needs_s)
            allowed = len(tried) + 2 <= state.terms.tries_per_frame and racer.machine.node_id not in tried
            if allowed and needs_s < _STEAL_BEFORE * ends_in_s and cost_wei <= most_wei:
                actions.append(Race(racer.slot, frame, cost_wei))
                most_wei -= cost_wei
                del late[place]
                break
        else:
            left.append(racer)
    return left


def _other_nodes(state: BatchState, actions: list[Action]) -> list[Action]:
    """A machine more where a frame has failed on every one that there is."""
    gone = {action.slot for action in actions if isinstance(action, Release)}
    if not state.again or state.waiting or any(isinstance(action, Rent) for action in actions):
        return []
    if len(state.workers) - len(gone) >= state.terms.max_machines:
        return []
    nodes = {w.machine.node_id for w in state.workers.values() if not w.leaving and w.slot not in gone}
    if not any(nodes <= set(state.tried[frame]) for frame in state.again):
        return []
    machine = next(state.candidates(), None)
    return [Rent(machine, "a frame has failed on all the others")] if machine is not None else []
