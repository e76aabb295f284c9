"""Render one still in many variants: other lights, cameras, materials, samples, each a few lines of Python.

A variant is a frame: frame 1 is the scene with the first variant's lines run, frame 2 with the second's. So all of them
share the start-up of a few machines, each picture is checked as any frame is, and one sheet shows them all. Blender
starts anew for each, so that no variant sees what another has changed; a variant whose lines fail ends the batch, and
is never rendered as if nothing had been asked. The scene must be one that stands still: what is animated in it is
rendered as of frame 1, 2, 3.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account. `output` is a folder that
every worker sees.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator

# Runs in Blender, on the machines. An error within a handler stops no render by itself.
SCRIPT = """
import bpy, json, os

variants = json.loads({variants!r})

@bpy.app.handlers.persistent
def change(scene, *_):
    variant = variants[scene.frame_current - 1]
    try:
        exec(variant["python"], {{"bpy": bpy, "scene": scene}})
    except Exception as error:
        print(f"\\nocta-scene-error: the variant {{variant['name']}}: {{error!r}}", flush=True)
        os._exit(1)

bpy.app.handlers.frame_change_pre.append(change)
"""


def variants() -> Param:
    """The form's field, with three to begin with."""
    usual = [
        {"name": "as_it_is", "python": ""},
        {"name": "close", "python": "scene.camera.data.lens = 85"},
        {"name": "other_camera", "python": "scene.camera = bpy.data.objects['Camera.001']"},
    ]
    # The name becomes that of a file.
    fields = {"name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,60}$"}, "python": {"type": "string"}}
    each = {"type": "object", "required": ["name", "python"], "properties": fields}
    return Param(usual, type="array", title="Variants", minItems=1, items=each)


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace", "blender"],
    params={
        "scene": Param("/data/product.blend", type="string", title="Scene", description="A .blend on the worker."),
        "output": Param("/data/variants", type="string", title="Output", description="Where every worker sees it."),
        "variants": variants(),
        "samples": Param(256, type="integer", minimum=1, title="Samples", description="A pixel, of all variants."),
        "seconds_per_still": Param(60, type="number", title="Seconds a still", description="On a usual machine."),
        "machines": Param(2, type="integer", minimum=1, title="Machines", description="At most so many at once."),
        "max_cost_usd": Param(1.0, type="number", title="Budget", description="USD for all of it."),
    },
)
def still_in_variants() -> None:
    @task
    def write_script(params: dict[str, Any] | None = None) -> str:
        assert params is not None
        output = Path(params["output"])
        output.mkdir(parents=True, exist_ok=True)
        script = output / "variants.py"
        script.write_text(SCRIPT.format(variants=json.dumps(params["variants"])))
        return str(script)

    script = write_script()
    batch: dict[str, Any] = {
        "scene": "{{ params.scene }}",
        "frames": "1-{{ params.variants | length }}",
        "output": "{{ params.output }}",
        "renderer": {"python": [script], "samples": "{{ params.samples }}", "max_frames_per_process": 1},
        "seconds_per_frame": "{{ params.seconds_per_still }}",
        "max_machines": "{{ params.machines }}",
        "max_cost_usd": "{{ params.max_cost_usd }}",
        # Other variants are other pictures of the same names.
        "on_changed": "replace",
    }
    plan = OctaPlanRenderOperator(task_id="plan", **batch)
    render = OctaRenderAnimationOperator(task_id="render", quote=plan.output, retries=2, **batch)

    @task
    def name_stills(rendered: dict[str, Any], params: dict[str, Any] | None = None) -> list[str]:
        assert params is not None
        stills = Path(rendered["output"]) / "stills"
        stills.mkdir(exist_ok=True)
        named = []
        for number, variant in enumerate(params["variants"], start=1):
            still = stills / f"{variant['name']}.png"
            shutil.copyfile(Path(rendered["output"]) / f"frame_{number:04d}.png", still)
            named.append(str(still))
        return named

    script >> plan >> render
    name_stills(render.output)


still_in_variants()
