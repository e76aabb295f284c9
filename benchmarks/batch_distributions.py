"""What the simulator of batches draws from: guesses that bracket what was found, each in one place.

A world is one catalogue, one film, and what will go wrong. Everything comes from its seed.
"""

from __future__ import annotations

import math
import random
from array import array
from dataclasses import dataclass

#: Frame times and scores are told at this score.
REFERENCE_SCORE = 8000.0
WEI_PER_USD = 10**19
#: A dead machine is noticed, and paid for, so much later.
NOTICED_S = 60.0
#: So many times faster is a machine whose pictures are all black.
BLACK_SPEED = 20.0

DESCRIPTION = """\
score            lognormal, median 8000, sigma 0.5 (guess)
price            score / 8000 x 0.40 USD/h x lognormal sigma 0.57 (17 x between best and worst score per USD of 100)
start            lognormal, median 150 s, sigma 0.6, cut to 20-1200 s; 30 % cached, 20-45 s; 3 % never up
true speed       score x lognormal sigma 0.15; 3 % of machines at 0.35 x
failures         MTBF 150 h, 5 % of machines 6 h; 1 run in 200 loses one of 20 countries; noticed after 60 s
gone             10 % of machines when asked for
frame            lognormal around the median: AR(1) 0.97 sigma 0.35, jitter 8 %, a cut (x 0.3-3) each 200 frames
load             5-120 s a process, log-uniform; the first frame on a machine + 20-120 s
bad frames       0.2 % once, 0.02 % everywhere; 1 % of machines black and fast; 1 % with a disk that fills up
scene, uplink    with --transfer: 50 MB-20 GB and 50-1000 Mbit/s, log-uniform; else nothing is sent
not simulated    fetching of frames; prices that change; a coordinator that dies"""


@dataclass(frozen=True)
class TrueMachine:
    """What a machine is really like.

    Attributes:
        node_id: its node.
        score: what the catalogue says.
        price_wei: wei per hour.
        speed: reference seconds of work per second.
        up_s: seconds from its start until it is up; infinite when it never is.
        lives_s: seconds from its start until it dies.
        country: where it stands.
        is_gone: whether it is gone when asked for.
        is_black: whether all its pictures are black, and fast.
        disk_frames: after so many frames its disk is full.
    """

    node_id: int
    score: float
    price_wei: int
    speed: float
    up_s: float
    lives_s: float
    country: int
    is_gone: bool
    is_black: bool
    disk_frames: float

    @property
    def usd_h(self) -> float:
        """USD per hour."""
        return self.price_wei / WEI_PER_USD


@dataclass(frozen=True)
class World:
    """One catalogue and one film.

    Attributes:
        machines: by node.
        work: for each frame the seconds at the reference score.
        load_s: seconds a process loads.
        first_frame_s: by which the first frame on a machine is longer.
        scene_bytes: what is sent to each machine.
        uplink_mbps: our line, in Mbit/s.
        bad_once: frames whose first picture is bad.
        bad_always: frames whose picture is always bad.
        lost_country: which country is lost, and when; None in most worlds.
    """

    machines: list[TrueMachine]
    work: array[float]
    load_s: float
    first_frame_s: float
    scene_bytes: int
    uplink_mbps: float | None
    bad_once: frozenset[int]
    bad_always: frozenset[int]
    lost_country: tuple[int, float] | None

    def upload_s(self) -> float:
        """Seconds that the scene takes to one machine."""
        return self.scene_bytes * 8 / (self.uplink_mbps * 1e6) if self.uplink_mbps else 0.0


def world(seed: int, machines: int, frames: int, frame_s: float, *, transfer: bool = False) -> World:
    """Draw a world.

    Args:
        seed: the same one gives the same world.
        machines: how many are on offer.
        frames: how many the film has.
        frame_s: median seconds of a frame at the reference score.
        transfer: whether the scene has to be sent.
    """
    chance = random.Random(seed)
    offers = [_machine(chance, node_id) for node_id in range(1, machines + 1)]
    work = _film(chance, frames, frame_s)
    return World(
        machines=offers,
        work=work,
        load_s=_log_uniform(chance, 5, 120),
        first_frame_s=chance.uniform(20, 120),
        scene_bytes=int(_log_uniform(chance, 50e6, 20e9)) if transfer else 0,
        uplink_mbps=_log_uniform(chance, 50, 1000) if transfer else None,
        bad_once=_some(chance, frames, 0.002),
        bad_always=_some(chance, frames, 0.0002),
        lost_country=(chance.randrange(20), chance.uniform(0, 7200)) if chance.random() < 1 / 200 else None,
    )


def start_mean_s() -> float:
    """The average of a start that comes up."""
    chance = random.Random(0)
    return sum(_up_s(chance) for _ in range(20_000)) / 20_000


def _machine(chance: random.Random, node_id: int) -> TrueMachine:
    score = REFERENCE_SCORE * chance.lognormvariate(0, 0.5)
    usd_h = score / REFERENCE_SCORE * 0.40 * chance.lognormvariate(0, 0.57)
    factor = 0.35 if chance.random() < 0.03 else chance.lognormvariate(0, 0.15)
    mtbf_h = 6 if chance.random() < 0.05 else 150
    return TrueMachine(
        node_id=node_id,
        score=score,
        price_wei=int(usd_h * WEI_PER_USD),
        speed=score / REFERENCE_SCORE * factor,
        up_s=math.inf if chance.random() < 0.03 else _up_s(chance),
        lives_s=chance.expovariate(1 / (mtbf_h * 3600)),
        country=chance.randrange(20),
        is_gone=chance.random() < 0.10,
        is_black=chance.random() < 0.01,
        disk_frames=chance.randrange(5, 200) if chance.random() < 0.01 else math.inf,
    )


def _up_s(chance: random.Random) -> float:
    if chance.random() < 0.30:
        return chance.uniform(20, 45)
    return min(1200.0, max(20.0, 150 * chance.lognormvariate(0, 0.6)))


def _film(chance: random.Random, frames: int, frame_s: float) -> array[float]:
    work = array("d")
    along = chance.gauss(0, 0.35)
    shot = 1.0
    step = 0.35 * math.sqrt(1 - 0.97**2)
    for frame in range(frames):
        if frame % 200 == 0:
            shot = _log_uniform(chance, 0.3, 3)
            along = chance.gauss(0, 0.35)
        along = 0.97 * along + chance.gauss(0, step)
        work.append(frame_s * shot * math.exp(along) * chance.lognormvariate(0, 0.08))
    return work


def _some(chance: random.Random, frames: int, share: float) -> frozenset[int]:
    return frozenset(frame for frame in range(frames) if chance.random() < share)


def _log_uniform(chance: random.Random, low: float, high: float) -> float:
    return math.exp(chance.uniform(math.log(low), math.log(high)))
