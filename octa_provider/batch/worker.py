"""A machine that is rented for a batch, and what it does."""

from __future__ import annotations

from dataclasses import dataclass, field

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.frame_set import FrameSet

__all__ = ["Worker"]


@dataclass(slots=True)
class Worker:
    """A machine that is rented.

    Attributes:
        slot: its number in the batch.
        machine: what was expected of it.
        rented_at: when it was rented.
        ready_at: when it was up and had the scene; None before.
        share: the frames it has been given and not yet rendered; the first is the one it is at.
        given_at: when its process was started.
        heard_at: when it was last given something, began a frame, or sent one.
        frame_at: when its frame began; None while it loads.
        race: the frame of another's share that it renders too.
        rendered: how many frames it rendered.
        bad: pictures in a row that were refused.
        leaving: whether it gets no more.
    """

    slot: int
    machine: MachineEstimate
    rented_at: float
    ready_at: float | None = None
    share: FrameSet = field(default_factory=FrameSet)
    given_at: float = 0.0
    heard_at: float = 0.0
    frame_at: float | None = None
    race: int | None = None
    rendered: int = 0
    bad: int = 0
    leaving: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether it is up and has nothing to do."""
        return self.ready_at is not None and self.race is None and not self.share
