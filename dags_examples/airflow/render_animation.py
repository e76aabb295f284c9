"""Render an animation on several rented machines: a quote, an approval, the render.

`plan` quotes, and spends nothing. `approve` waits for a person who has the quote's table before them (*Required
Actions* in Airflow's menu); a rejection skips the render. `render` keeps to what was approved: it never costs more than
the quote's "at most". A frame counts when its picture was checked; a retry goes on with what is there, and with the
machines that run.

Before Airflow 3.1 nobody can be asked within a run. There `approve` holds the quote against the parameter
`approved_usd`: the run ends with the quote in its log where that is not enough, and is triggered again with more.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account. `output` is a folder that
every worker sees.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException, Param, dag, task

from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
except (ImportError, AirflowOptionalProviderFeatureException):  # before Airflow 3.1
    ApprovalOperator = None


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace", "blender"],
    params={
        "scene": Param(
            "/data/scene.blend", type="string", title="Scene", description="A .blend, or a folder with one."
        ),
        "frames": Param("1-24", type="string", title="Frames", description="Such as 1-240, 1-240x2 or 1,5,10-20."),
        "output": Param("/data/frames", type="string", title="Output", description="Where every worker sees it."),
        "seconds_per_frame": Param(60, type="number", title="Seconds a frame", description="On a usual machine."),
        "machines": Param(3, type="integer", minimum=1, title="Machines", description="At most so many at once."),
        "within_min": Param(60, type="number", title="Minutes", description="From the approval to the last frame."),
        "max_cost_usd": Param(5.0, type="number", title="Budget", description="USD for all of it, retries too."),
        "max_price_usd": Param(2.0, type="number", title="Price cap", description="USD per hour and machine."),
        "approved_usd": Param(0.0, type="number", title="Approved", description="USD; before Airflow 3.1 only."),
    },
)
def render_animation() -> None:
    batch: dict[str, Any] = {
        "scene": "{{ params.scene }}",
        "frames": "{{ params.frames }}",
        "output": "{{ params.output }}",
        "seconds_per_frame": "{{ params.seconds_per_frame }}",
        "max_machines": "{{ params.machines }}",
        "finish_within_s": "{{ params.within_min * 60 }}",
        "max_cost_usd": "{{ params.max_cost_usd }}",
        "requirements": {"gpu_count": 1, "max_price_usd": "{{ params.max_price_usd }}"},
    }
    plan = OctaPlanRenderOperator(task_id="plan", **batch)

    if ApprovalOperator is not None:
        approve = ApprovalOperator(
            task_id="approve",
            subject="Render {{ params.scene }}?",
            body="{{ ti.xcom_pull(task_ids='plan')['markdown'] }}",
        )
    else:

        @task.short_circuit(task_id="approve")
        def is_approved(quote: dict[str, Any], params: dict[str, Any] | None = None) -> bool:
            assert params is not None
            most = quote["chosen"]["cost_most_usd"]
            approved = bool(most <= params["approved_usd"])
            print(quote["text"])
            if not approved:
                print(f"Not approved: trigger it again with approved_usd of {most:.4f} or more.")
            return approved

        approve = is_approved(plan.output)

    render = OctaRenderAnimationOperator(
        task_id="render", quote=plan.output, retries=2, retry_delay=timedelta(seconds=30), **batch
    )
    plan >> approve >> render


render_animation()
