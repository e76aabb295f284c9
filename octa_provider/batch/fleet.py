"""Which machines to rent next, which to let go, and which to give up: decisions on the state of a batch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import islice

from octa_provider.batch.actions import Action, Leave, Release, Rent
from octa_provider.batch.estimate import START_LIMIT_S, MachineEstimate
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.outlook import Outlook
from octa_provider.batch.worker import Worker

__all__ = ["fleet_actions", "give_up"]

#: Pictures in a row that are not whole, after which it is the machine.
_BAD_IN_A_ROW = 2
#: A frame that takes so many times what it should is not waited for.
_HANGS = 8.0
_HANGS_LEAST_S = 60.0
#: A process that loads can take longer than the first one did; nor is it waited for without end.
_SILENT_S = 600.0
#: How much more than needed there must be before a machine is let go.
_AHEAD = 1.05
#: Before this share of the time has passed, what was seen is too little to let one go.
_SETTLED = 0.15
#: The share of the margin that is rented at once.
_FIRST_MARGIN = 0.2
#: The share of what is needed that is rented before so many places of the film were seen.
_FIRST_WAVE = 0.5
_FIRST_SITES = 10
#: A machine whose frames cost so many times those of the next one is replaced.
_TOO_DEAR = 1.4
#: Candidates that are looked at for one that still helps.
_LOOK_AT = 50
#: And for the one whose frames are the cheapest in the time that is left.
_WINDOW = 150


def give_up(look: Outlook) -> list[Release]:
    """The machines that never came up, send bad pictures, or hang."""
    releases = []
    for worker in look.state.workers.values():
        reason = _hopeless(look, worker)
        if reason is not None:
            releases.append(Release(worker.slot, reason, failed=True))
    return releases


def fleet_actions(look: Outlook) -> list[Action]:
    """Behind what the deadline needs, rent the plan's next; ahead of it, let the dearest go."""
    state, now = look.state, look.now
    candidate = next(state.candidates(), None)
    aim = look.target_at
    if candidate is not None:
        # Too late for the deadline, a machine that does not come up soon can still not help.
        soon_s = candidate.start_s + candidate.upload_s + look.candidate_frame_s(candidate)
        aim = max(aim, now + 1.5 * soon_s)
    work, sigma = look.work_left(), state.terms.sigmas * look.sigma()
    could = {slot: look.could_do(worker, aim) for slot, worker in state.workers.items()}
    capacity = sum(could.values())
    needed = work * math.exp(sigma * _margin(look))
    if state.pace.sites < _FIRST_SITES and look.progress < _SETTLED:
        # One measurement may be far off: some machines tell before all are rented.
        needed *= _FIRST_WAVE
    if capacity < needed:
        return list(_rents(look, aim, needed - capacity))
    if look.progress < _SETTLED or not look.is_settled or aim > look.target_at:
        return []
    return [*_leaves(look, work * math.exp(sigma), capacity, could), *_swap(look, aim)]


def _margin(look: Outlook) -> float:
    """Which share of the margin is rented now: a machine that is missed later can be rented later, while there is time
    and room for it."""
    terms = look.state.terms
    if 2 * len(look.state.workers) > terms.max_machines:
        return 1.0
    return min(1.0, _FIRST_MARGIN + look.progress)


def leave(look: Outlook, worker: Worker, reason: str) -> Leave:
    """Let a machine go after the frame it is at."""
    frames = FrameSet()
    if look.state.terms.can_skip and worker.share:
        frames = worker.share.copy()
        frames.take_first(1)
    return Leave(worker.slot, frames, reason)


def _hopeless(look: Outlook, worker: Worker) -> str | None:
    terms = look.state.terms
    if worker.ready_at is None:
        starting = sum(w.ready_at is None for w in look.state.workers.values()) if terms.upload_s else 0
        limit = START_LIMIT_S + (1 + starting) * terms.upload_s + worker.machine.upload_s
        return f"not up after {limit:.0f} s" if look.now - worker.rented_at > limit else None
    if worker.bad >= _BAD_IN_A_ROW:
        return f"{worker.bad} pictures in a row that are not whole"
    at_it_s = look.state.at_frame_s(worker, look.now)
    expected_s = max(look.expected_work[worker.slot], look.frame_work) / worker.machine.speed
    if at_it_s > max(_HANGS_LEAST_S, _HANGS * expected_s):
        return f"at one frame for {at_it_s:.0f} s"
    if worker.frame_at is None and not worker.is_idle:
        # It loads, or its renderer does not tell when a frame begins.
        silent_s = look.now - worker.heard_at
        if silent_s > _SILENT_S + _HANGS * (terms.load_s + terms.first_frame_s + expected_s):
            return f"nothing came of it for {silent_s:.0f} s"
    return None


def _rents(look: Outlook, aim: float, missing: float) -> list[Rent]:
    state, now = look.state, look.now
    free = state.terms.max_machines - len(state.workers)
    sending_s = sum(worker.ready_at is None for worker in state.workers.values()) * state.terms.upload_s
    price = sum(worker.machine.price_wei for worker in state.workers.values()) / 3600
    speed = sum(look.speed.values())
    work, spent = look.work_left(), state.spent_wei(now)
    rents: list[Rent] = []
    looked = 0
    for machine in _best_first(look, aim):
        if len(rents) >= free or missing <= 0 or looked >= _LOOK_AT or sending_s > machine.start_s:
            break
        could = look.candidate_could_do(machine, aim, sending_s)
        if could < 0.5 * look.frame_work or not look.has_for(machine, len(rents), sending_s):
            looked += 1
            continue
        without = price * work / speed if speed > 0 else 0.0
        price += machine.price_wei / 3600
        speed += machine.speed
        to_cost = price * (work / speed + machine.start_s)
        most = state.terms.max_cost_wei
        # Where those that are rented are slow, one more saves money, whatever it is that is left of it.
        if most is not None and state.workers and spent + to_cost > most and to_cost > without:
            break
        rents.append(Rent(machine, "behind the plan" if state.done else "planned"))
        missing -= could
        sending_s += state.terms.upload_s
    return rents


def _best_first(look: Outlook, aim: float) -> Iterable[MachineEstimate]:
    """The machines to rent next. The plan's order is that of the plan's time; with less of it left a fast one that was
    too dear may be the cheapest, as a start costs each the same time."""
    if not look.state.workers:
        return look.state.candidates()

    def key(machine: MachineEstimate) -> float:
        could = look.candidate_could_do(machine, aim)
        return machine.price_wei / could if could > 0 else math.inf

    return sorted(islice(look.state.candidates(), _WINDOW), key=key)


def _leaves(look: Outlook, needed: float, capacity: float, could: dict[int, float]) -> list[Leave]:
    working = [worker for worker in look.state.workers.values() if worker.ready_at is not None and not worker.leaving]
    working.sort(key=lambda worker: worker.machine.price_wei / look.speed[worker.slot], reverse=True)
    leaves: list[Leave] = []
    for worker in working[:-1]:
        if capacity - could[worker.slot] < needed * _AHEAD:
            break
        capacity -= could[worker.slot]
        leaves.append(leave(look, worker, "ahead of the plan"))
    return leaves


def _swap(look: Outlook, aim: float) -> list[Rent]:
    """The next machine for one that has shown to be far dearer a frame: that one then leaves as the dearest."""
    workers = look.state.workers.values()
    candidate = next(look.state.candidates(), None)
    starting = sum(worker.ready_at is None for worker in workers)
    if candidate is None or starting > len(workers) // 20 or len(workers) >= look.state.terms.max_machines:
        return []
    could = look.candidate_could_do(candidate, aim)
    if could <= 0:
        return []
    cost = candidate.price_wei * (aim - look.now) / could
    dearest = max(
        (
            worker.machine.price_wei / look.speed[worker.slot]
            for worker in workers
            if worker.rendered and not worker.leaving
        ),
        default=0.0,
    )
    return [Rent(candidate, "in place of one that is far dearer")] if dearest > _TOO_DEAR * cost else []
