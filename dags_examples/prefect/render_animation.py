"""Render an animation on several rented machines at once.

The frames are cut into as many chunks as there are machines. Each chunk rents one, renders there with its log and a
progress bar in Prefect, brings its frames home and stops the machine, whatever happens in between. What it cost is an
artifact of the flow run, and in `bill.json`.

    export OCTA_API_KEY=... OCTA_SSH_KEY_FILE=~/.ssh/id_ed25519
    python render_animation.py &
    prefect deployment run render-animation/octa -p scene=/data/shot.blend -p frames=1-240 -p output=/data/frames
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import flow

from prefect_blocks.flows import render_animation_flow


@flow
def render_animation(
    scene: str, output: str, frames: str = "1-24", machines: int = 3, max_price_usd: float = 2.0
) -> dict[str, Any]:
    """Render frames of a scene.

    Args:
        scene: a .blend file here.
        output: folder here for frames and bill.
        frames: such as 1-240, 1-240x2 or 1,5,10-20.
        machines: how many share the frames.
        max_price_usd: for each machine, per hour.
    """
    bill = render_animation_flow(
        scene,
        frames,
        output,
        machines=machines,
        requirements={"gpu_count": 1, "max_price_usd": max_price_usd, "order_by": "score_per_usd"},
        # concurrency_limit= takes the name of a global limit of yours, shared by all flow runs.
    )
    (Path(output).expanduser() / "bill.json").write_text(json.dumps(bill, indent=2) + "\n")
    return bill


if __name__ == "__main__":
    render_animation.serve(name="octa")
