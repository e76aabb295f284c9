"""Render every scene of a folder at night, for no more than one budget, and leave nothing behind.

`plan` measures three frames of each scene on a machine no dearer than `max_price_usd` an hour. `share` adds up what the
scenes cost at most, the cheapest first, and leaves out those that `budget_usd` does not pay for. `render` renders the
others, each for no more than its quote; a scene that fails holds up no other. `bill` says what each came to, also the
failed ones, and fails when a scene did; `reap` stops whatever this night or an earlier one left.

A frame that lies in its folder from an earlier night is kept, and renders again only when its scene was changed since.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account, and folders `scenes` (of
.blend files) and `output` that every worker sees.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, Param, dag, task

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.reap import OctaReapOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from octa_provider import OctaConfigError


def at_most_usd(quote: dict[str, Any]) -> float:
    """What a scene costs at most, with what it has cost until it was quoted."""
    line = quote["chosen"]
    if not quote["frames"]:
        return 0.0
    usd_per_wei = line["cost_most_usd"] / int(line["cost_most_wei"])
    return float(line["cost_most_usd"] + int(quote["spent_wei"]) * usd_per_wei)


@dag(
    schedule="0 1 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["octaspace", "blender"],
    params={
        "scenes": Param("/data/scenes", type="string", title="Scenes", description="A folder of .blend files."),
        "output": Param("/data/nightly", type="string", title="Output", description="Gets a folder for each scene."),
        "frames": Param("1-24", type="string", title="Frames", description="Such as 1-240, 1-240x2 or 1,5,10-20."),
        "device": Param("auto", type="string", title="Device", description="auto, OPTIX, CUDA, HIP or CPU."),
        "max_price_usd": Param(0.8, type="number", title="Price cap", description="USD per hour and machine."),
        "budget_usd": Param(10.0, type="number", title="Budget", description="USD for the whole night."),
    },
)
def nightly_batch() -> None:
    @task
    def find_scenes(params: dict[str, Any] | None = None) -> list[dict[str, str]]:
        assert params is not None
        scenes = sorted(Path(params["scenes"]).glob("*.blend"))
        if not scenes:
            raise AirflowSkipException(f"There is no scene in {params['scenes']}.")
        return [{"scene": str(scene), "output": str(Path(params["output"]) / scene.stem)} for scene in scenes]

    batch: dict[str, Any] = {
        "frames": "{{ params.frames }}",
        "renderer": {"image": "blender:4.5", "device": "{{ params.device }}"},
        "requirements": {"max_price_usd": "{{ params.max_price_usd }}"},
        # Yesterday's frames of a scene that was changed today.
        "on_changed": "replace",
        # Airflow 2.11 does not count those that are deferred: there, use a pool that includes them.
        "max_active_tis_per_dagrun": 4,
    }
    scenes = find_scenes()
    plan = OctaPlanRenderOperator.partial(
        task_id="plan", measure=True, execution_timeout=timedelta(hours=1), **batch
    ).expand_kwargs(scenes)

    @task(trigger_rule="all_done")
    def share(params: dict[str, Any] | None = None, ti: Any = None) -> list[dict[str, Any]]:
        assert params is not None
        quotes = [quote for quote in ti.xcom_pull(task_ids=["plan"]) or () if quote]
        left_usd, shared = params["budget_usd"], []
        for quote in sorted(quotes, key=at_most_usd):
            most_usd = at_most_usd(quote)
            if most_usd > left_usd:
                print(f"{quote['scene']} is left out: at most {most_usd:.2f} USD, and {left_usd:.2f} are left.")
                continue
            left_usd -= most_usd
            shared.append({"scene": quote["scene"], "output": quote["output"], "quote": quote})
        return shared

    shared = share()
    render = OctaRenderAnimationOperator.partial(task_id="render", deferrable=True, retries=1, **batch).expand_kwargs(
        shared
    )

    @task(trigger_rule="all_done")
    def bill(ti: Any = None) -> dict[str, Any]:
        wanted, planned = ti.xcom_pull(task_ids="find_scenes") or [], ti.xcom_pull(task_ids="share") or []
        rendered = [one["output"] for one in ti.xcom_pull(task_ids=["render"]) if one]
        quoted = [one["output"] for one in ti.xcom_pull(task_ids=["plan"]) if one]
        told: dict[str, Any] = {"scenes": {}, "rendered": len(rendered), "cost_usd": 0.0}
        with OctaHook().get_conn() as octa:
            for one in wanted:
                try:
                    status = octa.batches.status(one["output"])
                except OctaConfigError as error:
                    told["scenes"][one["scene"]] = str(error)
                    continue
                told["cost_usd"] += status.cost_usd or 0.0
                cost = {"done": status.done, "missing": status.missing, "cost_usd": status.cost_usd}
                told["scenes"][one["scene"]] = cost
        told["left_out"] = len(quoted) - len(planned)
        print(told)
        ti.xcom_push(key="cost", value=told)
        failed = len(wanted) - told["left_out"] - len(rendered)
        if failed:
            raise AirflowException(f"{failed} of {len(wanted)} scenes failed: see the tasks `plan` and `render`.")
        return told

    reap = OctaReapOperator(
        task_id="reap", dag_ids=["nightly_batch"], older_than_s=0, trigger_rule="all_done", retries=2
    )
    plan >> shared
    # Side by side: a night in which a scene failed has failed, and is cleaned up all the same.
    render >> [bill(), reap]


nightly_batch()
