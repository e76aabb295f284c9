"""What our batches are compared with: equal chunks, and the least that any plan could cost."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from batch_distributions import BLACK_SPEED, NOTICED_S, REFERENCE_SCORE, TrueMachine, World, start_mean_s

from octa_provider.batch.estimate import SceneEstimate

#: Equal chunks wait so long for a machine that does not come up.
PATIENT_S = 1200.0


@dataclass(frozen=True)
class Outcome:
    """How a batch ended.

    Attributes:
        usd: what it cost.
        finish_s: when it ended.
        whole: whether each frame that can be rendered is there.
        rented: how many machines were rented.
    """

    usd: float
    finish_s: float
    whole: bool
    rented: int


def equal_chunks(
    film: World, estimate: SceneEstimate, deadline_s: float, order: Callable[[TrueMachine], float]
) -> Outcome:
    """Equal chunks on the first machines of an order; what one does not bring goes to the next of that order."""
    machines = sorted(film.machines, key=order)
    frames = len(film.work)
    assert estimate.score is not None
    runs_s = deadline_s - start_mean_s() - film.load_s - film.first_frame_s - film.upload_s()
    slowest = math.inf
    count = len(machines)
    for place, machine in enumerate(machines, 1):
        slowest = min(slowest, machine.score / estimate.score / estimate.seconds_per_frame)
        if frames / place <= slowest * runs_s:
            count = place
            break
    count = min(count, frames)
    edges = [frames * part // count for part in range(count + 1)]
    waiting = [(0.0, list(range(low, high))) for low, high in pairwise(edges)]
    heapq.heapify(waiting)
    bad_once = set(film.bad_once)
    usd, finish, rented, line_free = 0.0, 0.0, 0, 0.0
    for true in machines:
        if not waiting:
            break
        if true.is_gone:
            continue
        begun, chunk = heapq.heappop(waiting)
        rented += 1
        dies = begun + true.lives_s
        if film.lost_country is not None and film.lost_country[0] == true.country and begun < film.lost_country[1]:
            dies = min(dies, film.lost_country[1])
        if true.up_s > PATIENT_S:
            usd += true.usd_h * PATIENT_S / 3600
            heapq.heappush(waiting, (begun + PATIENT_S, chunk))
            continue
        line_free = max(line_free, begun + true.up_s) + film.upload_s()
        now = line_free + film.load_s + film.first_frame_s
        missing: list[int] = []
        for number, frame in enumerate(chunk, 1):
            takes = film.work[frame] / (true.speed * (BLACK_SPEED if true.is_black else 1))
            if now + takes > dies:
                missing += chunk[number - 1 :]
                now = dies + NOTICED_S
                break
            now += takes
            if true.is_black or number > true.disk_frames:
                missing.append(frame)
            elif frame in bad_once:
                bad_once.discard(frame)
                now += takes
        usd += true.usd_h * (now - begun) / 3600
        finish = max(finish, now)
        if missing:
            heapq.heappush(waiting, (now, missing))
    return Outcome(usd, finish, not waiting, rented)


def bound(film: World, deadline_s: float, *, oracle: bool) -> float:
    """The least that any plan could cost in USD: a fraction of the last machine, the film's true length."""
    total = sum(film.work) - sum(film.work[frame] for frame in film.bad_always)
    start = 0.0 if oracle else start_mean_s() + film.load_s + film.first_frame_s + film.upload_s()
    offers = []
    for machine in film.machines:
        speed = machine.speed if oracle else machine.score / REFERENCE_SCORE
        could = speed * (deadline_s - start)
        if not machine.is_gone and could > 0 and not (oracle and (machine.is_black or machine.up_s == math.inf)):
            offers.append((machine.usd_h * deadline_s / 3600 / could, could))
    usd = 0.0
    for price, could in sorted(offers):
        done = min(could, total)
        usd += price * done
        total -= done
    return usd if total <= 0 else math.inf
