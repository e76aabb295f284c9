"""What the first machine has told, and what is measured by it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.folder.work import Measured

if TYPE_CHECKING:
    from octa_provider.batch.renderers.preflight import Preflight

__all__ = ["FirstMachine", "measure_frames", "measured_of"]

#: A clock that the machine does not tell leaves the frames' times unknown.
_UNTOLD_FRAME_S = 60.0


@dataclass
class FirstMachine:
    """What the first machine has told.

    Attributes:
        number: the machine's in the batch.
        estimate: which machine.
        uplink_mbps: how quick the scene went there; None where it is too small to tell.
        preflight: what the scene says of itself; None where nothing can be asked.
        seconds: what each measured frame took but the first of its process, in seconds.
        first_s: what the first one took from the start of its process on, in seconds.
        load_s: how much of that was loading, in seconds; None where the renderer does not tell.
        sizes: bytes of each measured frame.
    """

    number: int
    estimate: MachineEstimate
    uplink_mbps: float | None = None
    preflight: Preflight | None = None
    seconds: list[float] = field(default_factory=list)
    first_s: float | None = None
    load_s: float | None = None
    sizes: list[int] = field(default_factory=list)


def measure_frames(missing: tuple[int, ...]) -> tuple[int, ...]:
    """The frames to measure by: the first, the middle and the last of those that are missing, ascending.

    Args:
        missing: ascending.
    """
    return tuple(sorted({missing[0], missing[len(missing) // 2], missing[-1]})) if missing else ()


def measured_of(first: FirstMachine, score: float, *, has_rendered: bool) -> Measured:
    """What is kept of it in the batch's folder.

    Args:
        first: what the first machine has told.
        score: the machine's, in the unit of the plan.
        has_rendered: whether it has rendered what was to be measured; else it was only asked.
    """
    seconds = first.seconds or ([first.first_s] if first.first_s is not None else [])
    average = sum(seconds) / len(seconds) if seconds else 0.0
    load_s = first.load_s or 0.0
    extra_s = 0.0 if first.first_s is None else max(0.0, first.first_s - load_s)
    return Measured(
        score=score,
        seconds=(seconds or [_UNTOLD_FRAME_S]) if has_rendered else [],
        load_s=load_s,
        first_frame_s=max(0.0, extra_s - average) if len(seconds) > 1 else 0.0,
        frame_bytes=sum(first.sizes) // len(first.sizes) if first.sizes else 0,
        uplink_mbps=first.uplink_mbps,
        preflight={} if first.preflight is None else asdict(first.preflight),
    )
