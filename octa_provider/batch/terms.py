"""What a batch that runs was asked for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BatchTerms"]


@dataclass(frozen=True)
class BatchTerms:
    """What the batch was asked for.

    Attributes:
        frames: how many there are in all.
        max_machines: at most so many at once.
        began_at: when it began, on the caller's clock, in seconds.
        finish_at: when it is to be done, on that clock: the deadline, else the plan's p90.
        max_cost_wei: wei; stop when it is reached. None for no cap.
        sigmas: how far above the middle is planned for, in standard deviations: 1.28 for a confidence of 0.9.
        work_sigma: how uncertain the average frame was before, as the spread of its logarithm.
        load_s: seconds that a process needs before its first frame.
        first_frame_s: seconds that the first frame on a machine takes longer.
        upload_s: seconds that our line needs to send the scene to one machine.
        tries_per_frame: at most so many tries for a frame, each on another node.
        can_skip: whether a running process skips a frame for which a file is laid.
        max_failed_frames: end as incomplete as soon as more frames than this were given up. None goes on with the
            others whatever happens.
        first_pass: so many places at the beginning are far apart in the film: each machine gets a few of them before
            it gets others. See `in_order`.
        pause_s: shares last at least so many seconds, where there is enough left, so that all machines can be left to
            themselves; 0 where somebody watches them.
    """

    frames: int
    max_machines: int
    began_at: float
    finish_at: float
    max_cost_wei: int | None = None
    sigmas: float = 1.28
    work_sigma: float = 0.25
    load_s: float = 30.0
    first_frame_s: float = 60.0
    upload_s: float = 0.0
    tries_per_frame: int = 3
    can_skip: bool = True
    max_failed_frames: int | None = None
    first_pass: int = 0
    pause_s: float = 0.0
