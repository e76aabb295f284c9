"""One machine's share of an animation's frames, as a task: rendered with Blender, brought home and looked at."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency

from octa_provider.errors import OctaError
from octa_provider.render import frames as ranges
from octa_provider.render.pictures import broken_frames
from octa_provider.text.carried import carried_dict
from prefect_blocks.credentials import credentials_named
from prefect_blocks.job_run import JobFailedError
from prefect_blocks.job_task import run_job

__all__ = ["FramesMissingError", "job_of_chunk", "render_chunk", "what_is_wrong"]

#: Seconds that a slot of the concurrency limit is kept for a process that does not renew it.
SLOT_LEASE_S = 120.0


class FramesMissingError(OctaError):
    """Frames that were asked for are not there, or are no whole pictures.

    Args:
        message: which frames.
        job: what the job came to that should have rendered them, where it was one.
    """

    def __init__(self, message: str, job: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.job = job


@task(name="octa_render_chunk", retries=1, cache_policy=NO_CACHE, tags={"octaspace"}, task_run_name="render-{chunk}")
def render_chunk(
    chunk: str,
    *,
    scene: str,
    output: str,
    image: str,
    requirements: dict[str, Any] | None,
    max_cost_usd: float | None,
    timeout_s: float,
    concurrency_limit: str,
    poll_s: float,
    credentials: str,
) -> dict[str, Any]:
    """Render some frames of an animation on one machine, and bring them home.

    Args:
        chunk: which frames, such as `1-80`.
        scene: a .blend file here.
        output: folder here for the frames.
        image: container image with Blender.
        requirements: fields of the core's `Requirements`.
        max_cost_usd: the machine is stopped when it has cost so much, in USD.
        timeout_s: seconds that it may render.
        concurrency_limit: a global concurrency limit of which this takes one slot; empty for none.
        poll_s: seconds between two looks at the machine.
        credentials: name of a saved `OctaCredentials` block; empty for the environment's account.

    Returns:
        What the job came to, as of the task `run_job`, and `frames`, which is `chunk`.

    Raises:
        FramesMissingError: some frames are missing or no whole pictures; those that came are kept.
        JobFailedError: Blender failed.
        OctaNoMachineError, OctaBudgetError: nothing could be rented.
    """
    wanted = ranges.parse(chunk)
    numbers = ",".join(str(number) for number in wanted)
    blender = ["blender", "-b", "scene.blend", "-o", "//frames/frame_####", "-F", "PNG", "-x", "1", "-f", numbers]
    slot: AbstractContextManager[object] = nullcontext()
    if concurrency_limit:
        # The slot of a process that was killed is free again when this is over; the next try waits for it.
        slot = concurrency(concurrency_limit, occupy=1, lease_duration=SLOT_LEASE_S)
    with slot:
        result = run_job(
            image,
            shlex.join(blender),
            inputs={scene: "scene.blend"},
            outputs={"frames": output},
            requirements=requirements,
            max_cost_usd=max_cost_usd,
            timeout_s=timeout_s,
            progress="blender",
            progress_total=len(wanted),
            poll_s=poll_s,
            # Chunks of the same scene look alike but for their frames, which are the work.
            key=f"render {chunk}",
            credentials=credentials_named(credentials),
        )
    if broken := broken_frames(output, wanted, made=result["outputs"]):
        raise FramesMissingError(what_is_wrong(broken, len(wanted)), result)
    return result | {"frames": chunk}


def what_is_wrong(broken: dict[int, str], wanted: int) -> str:
    """Which frames are not in order, and of the first of them why.

    Args:
        broken: each such frame, and what is wrong with it; not empty.
        wanted: how many frames were asked for.
    """
    missing = ranges.Frames(tuple(broken))
    return f"{len(broken)} of {wanted} frames are missing or broken: {missing}; {broken[missing.first]}"


def job_of_chunk(result: object) -> dict[str, Any] | None:
    """What a chunk's job came to, of those that failed too: they were paid for.

    Args:
        result: what `render_chunk` returned or raised.

    Returns:
        The core's `JobResult` as a JSON value; None when there was no job.
    """
    if isinstance(result, JobFailedError):
        return carried_dict(result.result.to_dict())
    if isinstance(result, FramesMissingError):
        return result.job
    return result if isinstance(result, dict) else None
