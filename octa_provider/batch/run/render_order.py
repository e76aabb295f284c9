"""What one machine is rendering: an order, and what is known of its frames."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["MachineName", "RenderOrder"]


@dataclass(frozen=True)
class MachineName:
    """What a machine is known by.

    Attributes:
        number: its number in the batch.
        node_id: the node.
        uuid: its session.
    """

    number: int
    node_id: int
    uuid: str


@dataclass
class RenderOrder:
    """What is being rendered.

    Attributes:
        frames: those that have not come, in their order.
        processes: their numbers on the machine.
        number: names the order.
        ordered_at: when it was given, on our clock; None for what an earlier coordinator has left.
        began_at: when they were begun, on the machine's clock; None until the first look.
        begun: when each frame was begun, where the machine tells.
        unsure: frames that may have been skipped, by an order whose answer was lost.
        last_at: when the last frame was done, on the machine's clock.
        at: the frame that it was last said to be at.
        made: how many frames came.
        is_cleaned: whether the way was made for its frames.
        is_begun: whether the machine was told of all its processes.
    """

    frames: list[int]
    processes: list[int]
    number: int = 0
    ordered_at: float | None = None
    began_at: float | None = None
    begun: dict[int, float] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    last_at: float | None = None
    at: int | None = None
    made: int = 0
    is_cleaned: bool = False
    is_begun: bool = False
