"""What is known of a scene and of machines: the numbers that plans are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from octa_provider.errors import OctaConfigError, Refusal
from octa_provider.render.frames import MAX_FRAMES
from octa_provider.timing.limits import checked_seconds

if TYPE_CHECKING:
    from octa_provider.models import Machine

__all__ = [
    "NEVER_UP",
    "SCORES",
    "START_LIMIT_S",
    "MachineEstimate",
    "SceneEstimate",
    "estimate_machines",
    "shrunk_speed",
]

#: What a start takes until commands run, on average: 30 % find the image cached, 3 % never come up.
START_S = 135.0
START_SIGMA_S = 110.0
NEVER_UP = 0.03
#: A machine that is not up after this is given up: 98 % of those that ever come up are up by then.
START_LIMIT_S = 520.0
#: How far a machine's speed is from what its score promises, as the spread of its logarithm, rare slow ones included.
SPEED_SIGMA = 0.2
#: How far one frame's time is from the average of a whole film: along a shot, and from shot to shot.
FRAME_SIGMA = 0.75
#: The same for an average that the user names.
GIVEN_SIGMA = 0.25
#: A measured speed counts as much as the score's promise once so many frames were rendered.
SHRINK_FRAMES = 2.0
#: A process renders a share of about this length, and loads the scene once.
SHARE_S = 1200.0
#: The fields of a machine that tell how fast it renders.
SCORES = ("blender_score", "blender_optix_score", "blender_cuda_score", "blender_cpu_score", "cpu_cores")
MAX_BYTES = 10**15


@dataclass(frozen=True)
class SceneEstimate:
    """What is known of the work. Use `measured` or `given` to make one.

    Attributes:
        frames: how many are left to render.
        seconds_per_frame: what a frame takes on average, in seconds, on a machine of `score`.
        score: that machine's score, in the unit that `estimate_machines` reads; None for the median machine's.
        sigma: how uncertain that average is, as the spread of its logarithm.
        load_s: seconds that a process needs before its first frame.
        first_frame_s: seconds that the first frame on a machine takes longer than others, for kernels and caches.
        scene_bytes: what is sent to each machine.
        frame_bytes: what is fetched for each frame.
        uplink_mbps: our line to the machines in Mbit/s, shared by all; None when it does not matter.
        downlink_mbps: our line from them in Mbit/s, shared by all; None when it does not matter.

    Raises:
        OctaConfigError: a number that no scene can have.
    """

    frames: int
    seconds_per_frame: float
    score: float | None = None
    sigma: float = GIVEN_SIGMA
    load_s: float = 30.0
    first_frame_s: float = 60.0
    scene_bytes: int = 0
    frame_bytes: int = 0
    uplink_mbps: float | None = None
    downlink_mbps: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.frames, bool) or not isinstance(self.frames, int) or not 1 <= self.frames <= MAX_FRAMES:
            raise OctaConfigError(f"frames must be a whole number from 1 to {MAX_FRAMES}, not {self.frames!r}")
        checked_seconds("seconds_per_frame", self.seconds_per_frame, least_s=0.001)
        checked_seconds("load_s", self.load_s)
        checked_seconds("first_frame_s", self.first_frame_s)
        for name, least, most in (("sigma", 0.0, 3.0), ("scene_bytes", 0, MAX_BYTES), ("frame_bytes", 0, MAX_BYTES)):
            _check_number(name, getattr(self, name), least, most)
        for name, most in (("score", 1e12), ("uplink_mbps", 1e7), ("downlink_mbps", 1e7)):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name), 1e-3, most)

    @classmethod
    def measured(
        cls, frames: int, seconds: Sequence[float], *, score: float, load_s: float, **others: float
    ) -> SceneEstimate:
        """From frames that were rendered.

        Args:
            frames: how many are left to render.
            seconds: what each rendered frame took, in seconds, without the loading.
            score: the score of the machine that rendered them.
            load_s: seconds that its process needed before the first frame.
            **others: the other fields.

        Raises:
            OctaConfigError: no frame was rendered, or a number that no scene can have.
        """
        if not seconds:
            raise OctaConfigError("seconds must hold what at least one rendered frame took")
        values = [checked_seconds("seconds", value, least_s=0.0) for value in seconds]
        values_of = {"sigma": FRAME_SIGMA / math.sqrt(len(values)), **others}
        average = max(0.001, sum(values) / len(values))
        return cls(frames, average, score=score, load_s=load_s, **values_of)  # type: ignore[arg-type]

    @property
    def upload_s(self) -> float:
        """Seconds that our line needs to send the scene to one machine."""
        return self.scene_bytes * 8 / (self.uplink_mbps * 1e6) if self.uplink_mbps is not None else 0.0

    @property
    def download_s(self) -> float:
        """Seconds that our line needs to fetch all frames."""
        bits = self.frame_bytes * 8 * self.frames
        return bits / (self.downlink_mbps * 1e6) if self.downlink_mbps is not None else 0.0


class MachineEstimate(msgspec.Struct, frozen=True, gc=False):
    """What is expected of one machine.

    Attributes:
        node_id: the node.
        price_wei: wei per hour, exact.
        price_usd: USD per hour, for display and comparison; 0 when the rate is not known.
        speed: frames per second while it renders.
        start_s: seconds from its start to its first frame, without the sending of the scene.
        upload_s: seconds that the sending of the scene takes when nothing else is sent.
    """

    node_id: int
    price_wei: int
    price_usd: float
    speed: float
    start_s: float
    upload_s: float = 0.0


def shrunk_speed(promised: float, frames: float, seconds: float) -> float:
    """The speed to expect of a machine in frames per second: as measured, shrunk to its score by two frames' worth.

    Args:
        promised: what its score promises, in frames per second, above 0.
        frames: how many it has rendered.
        seconds: what they took it, in seconds.
    """
    return (frames + SHRINK_FRAMES) / (seconds + SHRINK_FRAMES / promised)


def estimate_machines(
    machines: Sequence[Machine],
    scene: SceneEstimate,
    *,
    measured: Mapping[int, tuple[int, float]] | None = None,
    speed_by: str = "blender_score",
) -> tuple[list[MachineEstimate], list[Refusal]]:
    """What is expected of each machine, and which can't be planned with.

    Args:
        machines: those that fit, such as `Ranking.machines`; a node that is named twice counts once.
        scene: the work.
        measured: for nodes that have rendered of it: how many frames, in how many seconds.
        speed_by: the field that tells how fast a machine renders, one of `SCORES`.

    Returns:
        The estimates in the order of `machines`, and the machines that were left out with the reason why.

    Raises:
        OctaConfigError: `speed_by` is none of `SCORES`.
    """
    if speed_by not in SCORES:
        raise OctaConfigError(f"speed_by must be one of {', '.join(SCORES)}, not {speed_by!r}")
    refusals: list[Refusal] = []
    fit: dict[int, tuple[Machine, float]] = {}
    for machine in machines:
        score = getattr(machine, speed_by)
        reason = _unusable(machine, score, speed_by)
        if reason is not None:
            refusals.append(Refusal(machine.node_id, reason))
        else:
            fit.setdefault(machine.node_id, (machine, float(score)))
    if not fit:
        return [], refusals
    reference = scene.score if scene.score is not None else median(score for _, score in fit.values())
    work = scene.seconds_per_frame * reference
    seen = measured or {}
    estimates = []
    for node_id, (machine, score) in fit.items():
        speed = score / work
        if node_id in seen:
            speed = shrunk_speed(speed, *seen[node_id])
        # A share loads the scene once, however many frames it has.
        loads = scene.load_s / max(1.0, SHARE_S * speed)
        estimates.append(
            MachineEstimate(
                node_id,
                machine.price_wei or 0,
                machine.price_usd or 0.0,
                speed / (1 + loads * speed),
                START_S + NEVER_UP * START_LIMIT_S + scene.load_s + scene.first_frame_s,
                _upload_s(machine, scene),
            )
        )
    return estimates, refusals


def _unusable(machine: Machine, score: float | None, speed_by: str) -> str | None:
    wei, usd = machine.price_wei, machine.price_usd
    if wei is None:
        return "its exact price is not known"
    if isinstance(wei, bool) or not isinstance(wei, int) or wei <= 0 or (usd is not None and not 0 < usd < math.inf):
        return f"its price is no price ({usd if usd is not None else wei!r})"
    if score is None or not 0 < score < math.inf:
        return f"its speed is not known (no {speed_by})"
    return None


def _upload_s(machine: Machine, scene: SceneEstimate) -> float:
    if scene.uplink_mbps is None:
        return 0.0
    down = machine.net_down_mbps
    line = min(scene.uplink_mbps, down) if down is not None and down > 0 else scene.uplink_mbps
    return scene.scene_bytes * 8 / (line * 1e6)


def _check_number(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise OctaConfigError(f"{name} must be a number from {least:g} to {most:g}, not {value!r}")
