"""What a batch is asked for, as fields of a form: what is rendered, what renders it, and on what terms."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from prefect_blocks.cap_fields import CapOrNone
from prefect_blocks.credentials import Account, OctaCredentials

__all__ = ["BatchFields"]


class BatchFields(BaseModel):
    """The arguments of the core's `Batch`, but for its requirements, which are fields of their own."""

    # A value that is refused may be a secret.
    model_config = ConfigDict(hide_input_in_errors=True)

    credentials: Account = Field(
        default_factory=OctaCredentials,
        description="The account that pays, with an SSH key; the environment's when left out.",
    )
    scene: str = Field(
        default="", description="The scene's file, or the folder with it and all that it needs. Empty to be said later."
    )
    frames: str = Field(default="", description="Such as 1-240, 1-240x2 or 1,5,10-20. Empty to be said later.")
    output: str = Field(
        default="",
        description="The folder for the frames, on storage that every worker sees. Empty to be said later.",
    )
    main: str = Field(default="", description="The scene's file within a folder, where it holds several.")
    renderer: dict[str, Any] = Field(
        default_factory=dict,
        description="What renders: image, format, samples and so on of Blender, or with command any other renderer.",
    )
    check: dict[str, Any] = Field(
        default_factory=dict, description="When a frame is whole, such as its size and whether it may be of one colour."
    )
    max_machines: int = Field(default=10, title="Machines", description="At most so many at once.")
    finish_within_s: float | None = Field(
        default=None, title="Deadline (s)", description="Seconds from the start of the run; empty for the cheapest way."
    )
    max_cost_usd: CapOrNone = Field(
        default=None, title="Cost Cap (USD)", description="The batch is stopped before it costs more, retries included."
    )
    confidence: float = Field(
        default=0.9, description="How sure deadline and budget are to hold when the plan is made, from 0.5 to 0.99."
    )
    max_failed_frames: int = Field(
        default=0, title="Failed Frames", description="Go on although so many frames were given up."
    )
    tries_per_frame: int = Field(
        default=3, title="Tries per Frame", description="Tries for each frame, each on another machine."
    )
    seconds_per_frame: float | None = Field(
        default=None,
        title="Seconds per Frame",
        description="On average, on a machine of the median score; it is measured when left out.",
    )
    on_changed: Literal["refuse", "replace"] = Field(
        default="refuse",
        title="Frames of Another Scene",
        description="What is done with frames in the folder that were rendered from another scene.",
    )
    order: Literal["forward", "backward", "spread"] = Field(
        default="forward", description="Which frames come first; spread takes those that are far apart."
    )
    disk_gb: int = Field(default=20, title="Disk (GB)", description="Disk of each machine, in GB.")
    ready_timeout_s: float = Field(
        default=900.0, title="Ready Timeout", description="Seconds that a machine may take to come up."
    )
    max_duration_s: CapOrNone = Field(
        default=None,
        title="Longest (s)",
        description="All machines are stopped when the first of a run has been rented for so long; empty for no cap.",
    )
    wait_for_machine_s: float = Field(
        default=0.0,
        title="Wait for a Machine (s)",
        description="Seconds to wait, in all, while none of its machines is there and none fits or has room; 0 fails "
        "at once.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Words of your own on each machine's session, to find it and to split a bill by. Whoever has the "
        "account's key, and the machines' owners, read them: no secrets.",
    )
    poll_s: float = Field(default=2.0, gt=0, title="Poll Interval", description="Seconds between two looks.")
