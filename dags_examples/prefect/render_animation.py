"""Render an animation on many rented machines: what is there stays, and every further try renders the rest.

One flow run looks after all machines. Its artifacts are how far it is, the bill beside what was planned, and the
contact sheet; beside the frames lie manifest.json, cost.csv and sheet.png.

    export OCTA_API_KEY=... OCTA_SSH_KEY_FILE=~/.ssh/id_ed25519
    python render_animation.py &
    prefect deployment run render-animation/octa -p scene=/data/shot.blend -p frames=1-240 -p output=/data/frames
"""

from __future__ import annotations

from typing import Any

from prefect import flow

from prefect_blocks import stop_left_sessions
from prefect_blocks.flows import render_animation_flow


@flow(retries=2, retry_delay_seconds=10, on_crashed=[stop_left_sessions], on_cancellation=[stop_left_sessions])
def render_animation(
    scene: str,
    output: str,
    frames: str = "1-24",
    max_machines: int = 3,
    max_cost_usd: float = 5.0,
    within_hours: float | None = None,
    samples: int | None = None,
) -> dict[str, Any]:
    """Render frames of a scene.

    Args:
        scene: a .blend file here, or the folder with it and all that it needs.
        output: folder here for the frames.
        frames: such as 1-240, 1-240x2 or 1,5,10-20.
        max_machines: at most so many share the frames.
        max_cost_usd: for all of it, the retries included.
        within_hours: the deadline; left out, the cheapest way.
        samples: a pixel; the scene's own when left out.
    """
    return render_animation_flow(
        scene,
        frames,
        output,
        renderer={"image": "blender:4.5", "samples": samples},
        requirements={"gpu_count": 1},
        max_machines=max_machines,
        max_cost_usd=max_cost_usd,
        finish_within_s=None if within_hours is None else 3600 * within_hours,
    )


if __name__ == "__main__":
    render_animation.serve(name="octa")
