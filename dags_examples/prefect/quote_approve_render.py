"""Quote, approve, render: a person sees what an animation would cost before the first machine is rented for it.

The run waits as *Paused*. Its page in Prefect's UI shows the quote as an artifact; *Resume* asks with the number, and
the render never costs more than the quote's "at most". A run that died is asked about again, with a new quote for what
is missing then.

    export OCTA_API_KEY=... OCTA_SSH_KEY_FILE=~/.ssh/id_ed25519
    python quote_approve_render.py &
    prefect deployment run quote-approve-render/octa -p scene=/data/shot.blend -p frames=1-240 -p output=/data/frames
"""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger, pause_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run

from prefect_blocks import stop_left_sessions
from prefect_blocks.flows import plan_render_flow, render_animation_flow


class Approval(RunInput):
    """What whoever resumes the run is asked."""

    approved: bool = False


@flow(on_crashed=[stop_left_sessions], on_cancellation=[stop_left_sessions])
def quote_approve_render(
    scene: str,
    frames: str,
    output: str,
    seconds_per_frame: float | None = None,
    max_machines: int = 10,
    within_hours: float | None = None,
    answer_within_hours: float = 72.0,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Render an animation once somebody has approved what it costs.

    Args:
        scene: a .blend file here, or the folder with it and all that it needs.
        frames: such as 1-240.
        output: folder here for the frames.
        seconds_per_frame: where it is known; else one machine is rented to measure three frames, which are kept.
        max_machines: at most so many share the frames.
        within_hours: the deadline of the render; left out, the cheapest way.
        answer_within_hours: the run fails when nobody has answered by then.
        more: further arguments of both flows, such as `renderer`, `requirements` or `credentials`.
    """
    batch: dict[str, Any] = {
        "scene": scene,
        "frames": frames,
        "output": output,
        "seconds_per_frame": seconds_per_frame,
        "max_machines": max_machines,
        "finish_within_s": None if within_hours is None else 3600 * within_hours,
        **(more or {}),
    }
    quote = plan_render_flow(**batch, measure=seconds_per_frame is None)
    question = f"{quote['text']}\n\n{quote['markdown']}\n\nRender it?"
    answer = pause_flow_run(
        wait_for_input=Approval.with_initial_data(description=question),
        timeout=int(3600 * answer_within_hours),
        # Prefect refuses to ask twice under one key, and a try that died has asked.
        key=f"try-{flow_run.run_count}",
    )
    if not answer.approved:
        get_run_logger().info("It was not approved; nothing is rented for it")
        return {"outcome": "not approved", "quote": quote["text"]}
    # Its own retries, since a retry of the whole run would ask again.
    return render_animation_flow.with_options(retries=2, retry_delay_seconds=10)(**batch, quote=quote)


if __name__ == "__main__":
    quote_approve_render.serve(name="octa")
