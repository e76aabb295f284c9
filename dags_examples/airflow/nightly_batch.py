"""Render every scene of a folder at night, for no more than a budget, and leave nothing behind.

Each scene is a job on a machine of its own: no dearer than `max_price_usd` an hour, and stopped when it has used its
share of `budget_usd`. A scene that fails holds up no other, and one of which a frame is missing has failed, whatever an
earlier night left in its folder. `bill` adds up what all of them cost, also the failed ones, and fails when a scene
did; `reap` stops whatever this night or an earlier one left.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account, and folders `scenes` (of
.blend files) and `output` that every worker sees.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, Param, dag, task

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.reap import OctaReapOperator
from octa_provider import frames
from octa_provider.pictures import broken_frames


def check_frames(context: Any, result: dict[str, Any]) -> None:
    """Fail the task when a frame is missing or broken, and tell `bill` how many there are when none is.

    Blender's success proves no frame, nor does one that an earlier night left in the folder.
    """
    wanted = frames.parse(context["params"]["frames"])
    folder = context["task"].outputs["frames"]
    if broken := broken_frames(folder, wanted, name="{:04d}.png", made=result["outputs"]):
        lost = frames.Frames(tuple(broken))
        raise AirflowException(f"Of frames {wanted}, missing or broken: {lost}. {next(iter(broken.values()))}")
    context["ti"].xcom_push(key="frames", value=len(wanted))


@dag(
    schedule="0 1 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["octaspace", "blender"],
    params={
        "scenes": Param("/data/scenes", type="string", title="Scenes", description="A folder of .blend files."),
        "output": Param("/data/nightly", type="string", title="Output", description="Gets a folder for each scene."),
        "frames": Param("1-4", type="string", title="Frames", description="Such as 1-240, 1-240x2 or 1,5,10-20."),
        "max_price_usd": Param(0.8, type="number", title="Price cap", description="USD per hour and machine."),
        "budget_usd": Param(10.0, type="number", title="Budget", description="USD for the whole night."),
    },
)
def nightly_batch() -> None:
    @task
    def find_scenes(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        assert params is not None
        scenes = sorted(Path(params["scenes"]).glob("*.blend"))
        if not scenes:
            raise AirflowSkipException(f"There is no scene in {params['scenes']}.")
        numbers = ",".join(str(number) for number in frames.parse(params["frames"]))
        blender = ["blender", "-b", "scene.blend", "-o", "//frames/####", "-F", "PNG", "-x", "1", "-f", numbers]
        return [
            {
                "command": blender,
                "inputs": {str(scene): "scene.blend"},
                "outputs": {"frames": str(Path(params["output"]) / scene.stem)},
                "max_cost_usd": params["budget_usd"] / len(scenes),
            }
            for scene in scenes
        ]

    render = OctaRunJobOperator.partial(
        task_id="render",
        image="blender:4.5",
        max_price_usd="{{ params.max_price_usd }}",
        order_by="score_per_usd",
        timeout_s=3 * 3600,
        deferrable=True,
        post_execute=check_frames,
        # Another try would have a share of its own.
        retries=0,
        # Airflow 2.11 does not count those that are deferred: there, use a pool that includes them.
        max_active_tis_per_dagrun=4,
    ).expand_kwargs(find_scenes())

    @task(trigger_rule="all_done")
    def bill(ti: Any = None) -> dict[str, Any]:
        scenes = ti.xcom_pull(task_ids="find_scenes") or []
        done = [count for count in ti.xcom_pull(task_ids=["render"], key="frames") if count]
        costs = [cost for cost in ti.xcom_pull(task_ids=["render"], key="cost") if cost]
        told = {
            "scenes": len(scenes),
            "rendered": len(done),
            "cost_usd": sum(cost["cost_usd"] or 0.0 for cost in costs),
        }
        print(told)
        ti.xcom_push(key="cost", value=told)
        if len(done) < len(scenes):
            raise AirflowException(f"{len(scenes) - len(done)} of {len(scenes)} scenes failed: see the tasks `render`.")
        return told

    reap = OctaReapOperator(
        task_id="reap", dag_ids=["nightly_batch"], older_than_s=0, trigger_rule="all_done", retries=2
    )
    # Side by side: a night in which a scene failed has failed, and is cleaned up all the same.
    render >> [bill(), reap]


nightly_batch()
