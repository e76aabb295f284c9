"""Render an animation, look at every frame once more, and make a video of it.

`render` takes a frame only when its picture is whole, and fails when one is missing; a retry renders that one alone.
`check` reads the frames where they lie now, after whatever has happened to the storage since. `video` makes
`preview.mp4` of them: one picture for each frame, and none at all when a frame is missing.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account, and an `output` folder that
every worker sees; for the video the extra `pictures` and ffmpeg on the workers.
"""

from __future__ import annotations

from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import AirflowException, Param, dag, task

from airflow_provider.operators.render_animation import OctaRenderAnimationOperator


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace", "blender"],
    params={
        "scene": Param("/data/scene.blend", type="string", title="Scene", description="A .blend file on the worker."),
        "frames": Param("1-24", type="string", title="Frames", description="Such as 1-240, 1-240x2 or 1,5,10-20."),
        "output": Param("/data/frames", type="string", title="Output", description="A folder that every worker sees."),
        "device": Param("auto", type="string", title="Device", description="auto, OPTIX, CUDA, HIP or CPU."),
        "fps": Param(24.0, type="number", title="Frames a second"),
        "max_cost_usd": Param(5.0, type="number", title="Budget", description="USD for all frames."),
    },
)
def render_check_video() -> None:
    render = OctaRenderAnimationOperator(
        task_id="render",
        scene="{{ params.scene }}",
        frames="{{ params.frames }}",
        output="{{ params.output }}",
        renderer={"image": "blender:4.5", "device": "{{ params.device }}"},
        max_cost_usd="{{ params.max_cost_usd }}",
        deferrable=True,
        retries=2,
    )

    @task
    def check(rendered: dict[str, Any], params: dict[str, Any] | None = None) -> dict[str, Any]:
        from octa_provider.pictures import check_frames

        assert params is not None
        found = check_frames(rendered["output"], params["frames"])
        if not found.whole:
            number, why = next(iter(found.broken_frames.items()))
            raise AirflowException(f"{len(found.broken_frames)} frames are not whole any more; frame {number}: {why}")
        return {"frames": len(found.frames), "bytes": found.bytes, "cost_usd": rendered["cost_usd"]}

    @task
    def video(rendered: dict[str, Any], params: dict[str, Any] | None = None) -> str:
        from octa_provider.batch.film.video import make_video

        assert params is not None
        return str(make_video(rendered["output"], frames=params["frames"], fps=params["fps"]))

    check(render.output) >> video(render.output)


render_check_video()
