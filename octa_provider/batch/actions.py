"""What the coordinator of a batch is told to do next. Values: doing them, and telling the state of it, is its part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.frame_set import FrameSet

__all__ = ["Action", "Finish", "Give", "Leave", "Race", "Release", "Rent", "Steal"]


@dataclass(frozen=True)
class Rent:
    """Rent a machine; then `BatchState.rented`, or `BatchState.refused` when it is gone.

    Attributes:
        machine: which.
        reason: why, as one clause.
    """

    machine: MachineEstimate
    reason: str


@dataclass(frozen=True)
class Give:
    """Start a process on an idle machine; then `BatchState.given`.

    Attributes:
        slot: whose.
        frames: what it renders, in this order.
    """

    slot: int
    frames: FrameSet


@dataclass(frozen=True)
class Steal:
    """Lay empty files at these frames' names on one machine, and start a process with them on another; then
    `BatchState.stolen` with those that had not begun.

    Attributes:
        slot: who has them.
        thief: who gets them.
        frames: the last of the share.
    """

    slot: int
    thief: int
    frames: FrameSet


@dataclass(frozen=True)
class Race:
    """Render a frame that another machine has begun a second time; then `BatchState.raced`. The first valid one wins.

    Attributes:
        slot: the idle machine.
        frame: which.
        cost_wei: what that is expected to cost, in wei.
    """

    slot: int
    frame: int
    cost_wei: int


@dataclass(frozen=True)
class Leave:
    """Let a machine end the frame it renders, and no more: lay empty files at the others; then `BatchState.left_alone`.

    Attributes:
        slot: whose.
        frames: what it does not render any more; empty where its renderer can't skip frames: it then ends its share.
        reason: why, as one clause.
    """

    slot: int
    frames: FrameSet
    reason: str


@dataclass(frozen=True)
class Release:
    """Stop a machine's session; then `BatchState.ended`.

    Attributes:
        slot: whose.
        reason: why, as one clause.
        failed: whether it is a machine not to take again.
    """

    slot: int
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Finish:
    """The batch has ended; each machine's `Release` comes before it.

    Attributes:
        outcome: `whole`, `incomplete` or `over budget`.
    """

    outcome: str


Action: TypeAlias = Rent | Give | Steal | Race | Leave | Release | Finish
