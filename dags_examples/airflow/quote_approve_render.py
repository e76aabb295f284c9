"""Quote an animation, have a person approve the number, and render it: it never costs more than was approved.

`plan` rents one machine, renders three frames there to learn what a frame takes, and says what the rest will cost.
`approve` shows that as a table under *Required Actions*, and waits for a person (Airflow 3.1 and newer); nothing bills
meanwhile. `render` does what was approved: should today's market not keep the quote, or the scene have changed, it
rents nothing. Frames that are there are never rendered again, so neither a retry nor a cleared task pays twice.

On Airflow 2.11 nobody can be asked. There `approve` approves what costs no more than `approve_up_to_usd`: run it once
with 0, read the sum in the log of `plan`, and run it again with the sum that you approve. The frames that were measured
stay, so the first run was not for nothing.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account, and an `output` folder that
every worker sees.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException, Param, dag, task

from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator


def approval(plan: OctaPlanRenderOperator) -> Any:
    """A task that lets `render` run only when the quote is approved."""
    try:
        from airflow.providers.standard.operators.hitl import ApprovalOperator
    except (ImportError, AirflowOptionalProviderFeatureException):

        @task.short_circuit(task_id="approve")
        def approve(quote: dict[str, Any], params: dict[str, Any] | None = None) -> bool:
            assert params is not None
            most = quote["chosen"]["cost_most_usd"]
            print(f"{quote['text']}. Approved are {params['approve_up_to_usd']} USD.")
            return bool(most <= params["approve_up_to_usd"])

        return approve(plan.output)
    return ApprovalOperator(
        task_id="approve",
        subject="{{ ti.xcom_pull(task_ids='plan')['text'] }}",
        body="{{ ti.xcom_pull(task_ids='plan')['markdown'] }}",
        # A market changes within hours. What nobody has approved by then is not rendered.
        response_timeout=timedelta(hours=24),
        defaults=ApprovalOperator.REJECT,
    )


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace", "blender"],
    params={
        "scene": Param("/data/scene.blend", type="string", title="Scene", description="A .blend file on the worker."),
        "frames": Param("1-24", type="string", title="Frames", description="Such as 1-240, 1-240x2 or 1,5,10-20."),
        "output": Param("/data/frames", type="string", title="Output", description="A folder that every worker sees."),
        "device": Param("auto", type="string", title="Device", description="auto, OPTIX, CUDA, HIP or CPU."),
        "hours": Param(2.0, type="number", title="Hours", description="When it is to be done."),
        "max_machines": Param(10, type="integer", minimum=1, title="Machines", description="At most so many at once."),
        "max_price_usd": Param(2.0, type="number", title="Price cap", description="USD per hour and machine."),
        "approve_up_to_usd": Param(0.0, type="number", title="Approved", description="USD; only on Airflow 2.11."),
    },
)
def quote_approve_render() -> None:
    batch: dict[str, Any] = {
        "scene": "{{ params.scene }}",
        "frames": "{{ params.frames }}",
        "output": "{{ params.output }}",
        "renderer": {"image": "blender:4.5", "device": "{{ params.device }}"},
        "requirements": {"max_price_usd": "{{ params.max_price_usd }}"},
        "max_machines": "{{ params.max_machines }}",
        "finish_within_s": "{{ params.hours * 3600 }}",
    }
    plan = OctaPlanRenderOperator(task_id="plan", measure=True, **batch)
    render = OctaRenderAnimationOperator(task_id="render", quote=plan.output, deferrable=True, retries=2, **batch)
    plan >> approval(plan) >> render


quote_approve_render()
