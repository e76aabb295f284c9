"""What is told of machines' work: how a frame was made, how a machine's time went, what was measured."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Made", "Measured", "Spans"]


class Made(msgspec.Struct, frozen=True):
    """How one copy of a frame came to be.

    Attributes:
        node_id: the machine.
        slot: its number in the batch.
        uuid: its session.
        seconds: what the frame took, in seconds; None where nothing tells.
        tries: how many tries the frame took, this one included.
    """

    node_id: int
    slot: int
    uuid: str
    seconds: float | None = None
    tries: int = 1


class Spans(msgspec.Struct, frozen=True):
    """How a machine's time went, in seconds.

    Attributes:
        start_s: from its start until commands ran.
        transfer_s: the sending of the scene.
        render_s: while it rendered.
        idle_s: while it had nothing to do.
    """

    start_s: float = 0.0
    transfer_s: float = 0.0
    render_s: float = 0.0
    idle_s: float = 0.0


class Measured(msgspec.Struct, frozen=True):
    """What the first machine told of the scene.

    Attributes:
        score: the machine's, in the unit of the plan.
        seconds: what each frame took, in seconds.
        load_s: seconds that a process needed before its first frame.
        first_frame_s: seconds that the first frame took longer than others.
        frame_bytes: bytes of a frame's files.
        uplink_mbps: our line to the machine, in Mbit/s; None where nothing was sent.
        preflight: what the scene said of itself, as a JSON value.
    """

    score: float
    seconds: list[float]
    load_s: float = 0.0
    first_frame_s: float = 0.0
    frame_bytes: int = 0
    uplink_mbps: float | None = None
    preflight: dict[str, Any] = {}
