"""Render, check, video: a video is made of an animation only when each of its frames was looked at once more.

The last two steps need no account and no machine: `pip install 'octa-provider[pictures]'`, and ffmpeg.

    export OCTA_API_KEY=... OCTA_SSH_KEY_FILE=~/.ssh/id_ed25519
    python render_check_video.py /data/shot.blend 1-240 /data/frames
"""

from __future__ import annotations

import sys
from typing import Any

from prefect import flow, task

from octa_provider.batch.film.video import make_video
from octa_provider.pictures import check_frames
from prefect_blocks import stop_left_sessions
from prefect_blocks.flows import render_animation_flow


@task
def check(output: str, frames: str) -> str:
    """Every frame is there, whole, and of this animation; pixels are decoded. Returns the pattern of their names."""
    checked = check_frames(output, frames, patterns=("frame_####.png",), decode=True)
    if checked.broken_frames:
        number, why = next(iter(checked.broken_frames.items()))
        raise ValueError(f"{len(checked.broken_frames)} frames are not whole; frame {number}: {why}")
    return checked.patterns[0]


@task(retries=1)
def video(output: str, frames: str, pattern: str, fps: float) -> str:
    """As long as the frames are: frames / fps seconds."""
    return str(make_video(output, frames=frames, pattern=pattern, fps=fps))


@flow(on_crashed=[stop_left_sessions], on_cancellation=[stop_left_sessions])
def render_check_video(
    scene: str,
    frames: str,
    output: str,
    fps: float = 24.0,
    max_cost_usd: float = 5.0,
    more: dict[str, Any] | None = None,
) -> str:
    """Render an animation and make a video of it; returns the video's path.

    Args:
        scene: a .blend file here, or the folder with it and all that it needs.
        frames: such as 1-240.
        output: folder here for the frames and `preview.mp4`.
        fps: frames a second of the video.
        max_cost_usd: for the render.
        more: further arguments of the render, such as `renderer`, `max_machines` or `credentials`.
    """
    totals = render_animation_flow(scene, frames, output, max_cost_usd=max_cost_usd, **(more or {}))
    return video(totals["output"], frames, check(totals["output"], frames), fps)


if __name__ == "__main__":
    render_check_video(*sys.argv[1:4])
