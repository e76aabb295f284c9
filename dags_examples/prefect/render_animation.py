"""Render an animation on several rented machines: a quote, an approval, the render.

`plan_render_flow` quotes, and spends nothing. Then the run is paused until a person has seen the quote, and answered
the form behind *Resume* in Prefect's UI. `render_animation_flow` keeps to what was approved: it never costs more than
the quote's "at most". A frame counts when its picture was checked; a retry goes on with what is there, and with the
machines that run.

    export OCTA_API_KEY=... OCTA_SSH_KEY_FILE=~/.ssh/id_ed25519
    python render_animation.py &
    prefect deployment run render-animation/octa -p scene=/data/shot.blend -p frames=1-240 -p output=/data/frames
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput

from octa_provider import BatchQuote
from prefect_blocks.flows import plan_render_flow, render_animation_flow


class Approval(RunInput):
    """What is asked."""

    approved: bool = False


@flow
def render_animation(
    scene: str,
    output: str,
    frames: str = "1-24",
    seconds_per_frame: float = 60,
    machines: int = 3,
    within_min: float = 60,
    max_cost_usd: float = 5.0,
    max_price_usd: float = 2.0,
) -> dict[str, Any] | None:
    """Render frames of a scene, once the quote is approved.

    Args:
        scene: a .blend file here, or a folder with one.
        output: folder for the frames, on storage that every worker sees.
        frames: such as 1-240, 1-240x2 or 1,5,10-20.
        seconds_per_frame: on a usual machine.
        machines: at most so many at once.
        within_min: minutes from the approval to the last frame.
        max_cost_usd: for all of it, retries too.
        max_price_usd: for each machine, per hour.

    Returns:
        What it came to; None where it was not approved.
    """
    batch: dict[str, Any] = {
        "scene": scene,
        "frames": frames,
        "output": output,
        "seconds_per_frame": seconds_per_frame,
        "max_machines": machines,
        "finish_within_s": within_min * 60,
        "max_cost_usd": max_cost_usd,
        "requirements": {"gpu_count": 1, "max_price_usd": max_price_usd},
    }
    quote = plan_render_flow(**batch)
    question = f"{quote['text']}\n\n{BatchQuote.from_dict(quote).markdown()}"
    answer = pause_flow_run(wait_for_input=Approval.with_initial_data(description=question), timeout=12 * 3600)
    return render_animation_flow(**batch, quote=quote) if answer.approved else None


if __name__ == "__main__":
    render_animation.serve(name="octa")
