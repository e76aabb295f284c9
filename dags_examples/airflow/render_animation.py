"""Render an animation on several rented machines at once.

The frames are cut into as many chunks as there are machines. Each chunk rents one, renders there, brings its frames
home and stops the machine, whatever happens in between. A chunk of which a frame is missing has failed, whatever an
earlier render left in the output folder. The last task writes what it cost to `bill.json`, and fails when a frame is
missing.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account.
"""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import AirflowException, BaseOperator, Param, dag, task, task_group

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.session import OctaSessionReadySensor
from octa_provider import frames
from octa_provider.pictures import broken_frames


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace", "blender"],
    params={
        "scene": Param("/data/scene.blend", type="string", title="Scene", description="A .blend file on the worker."),
        "frames": Param("1-24", type="string", title="Frames", description="Such as 1-240, 1-240x2 or 1,5,10-20."),
        "machines": Param(3, type="integer", minimum=1, title="Machines", description="How many share the frames."),
        "output": Param("/data/frames", type="string", title="Output", description="Where frames, logs, bill go."),
        "max_price_usd": Param(2.0, type="number", title="Price cap", description="USD per hour and machine."),
    },
)
def render_animation() -> None:
    @task
    def split(params: dict[str, Any] | None = None) -> list[str]:
        assert params is not None
        return [str(chunk) for chunk in frames.chunks(params["frames"], parts=params["machines"])]

    @task(execution_timeout=timedelta(hours=6))
    def run(session: dict[str, Any], chunk: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        assert params is not None
        wanted = frames.parse(chunk)
        blender = ["blender", "-b", "scene.blend", "-o", "//frames/frame_####", "-F", "PNG", "-x", "1"]
        command = shlex.join([*blender, "-f", ",".join(str(number) for number in wanted)])
        with OctaHook().get_ssh(session["uuid"]) as machine:
            machine.put(params["scene"], "scene.blend")
            machine.run("mkdir -p frames")
            # The container's own log follows render.log, so that the task `logs` has it too.
            piped = shlex.join(["bash", "-o", "pipefail", "-c", f"{command} 2>&1 | tee -a ~/render.log"])
            ended = machine.run(piped, on_line=print)
            if ended.exit_code != 0:
                raise AirflowException(f"Blender ended with exit code {ended.exit_code}; its last lines are above.")
            made = machine.get("frames", params["output"])
        # Blender's success proves no frame, nor does one that an earlier render left in the output folder.
        if broken := broken_frames(params["output"], wanted, made=made):
            lost = frames.Frames(tuple(broken))
            raise AirflowException(f"Of frames {chunk}, missing or broken: {lost}. {next(iter(broken.values()))}")
        return {"uuid": session["uuid"], "node_id": session["node_id"], "frames": list(wanted)}

    @task_group
    def render_chunk(chunk: str) -> BaseOperator:
        start = OctaStartMachineOperator(
            task_id="start",
            image="blender:4.5",
            start_command="touch ~/render.log; tail -F ~/render.log",
            gpu_count=1,
            max_price_usd="{{ params.max_price_usd }}",
            order_by="score_per_usd",
        )
        ready = OctaSessionReadySensor(task_id="ready", session=start.output, poke_interval=5)
        rendered = run(start.output, chunk)
        logs = OctaFetchLogsOperator(
            task_id="logs",
            session=ready.output,
            path="{{ params.output }}/logs/chunk_{{ ti.map_index }}.log",
            trigger_rule="all_done",
        )
        stop = OctaStopSessionOperator(task_id="stop", session=start.output).as_teardown(
            setups=start, on_failure_fail_dagrun=True
        )
        start >> ready >> rendered >> logs >> stop
        return stop

    @task(trigger_rule="all_done")
    def bill(params: dict[str, Any] | None = None, ti: Any = None) -> dict[str, Any]:
        assert params is not None
        # Pulled by a list of ids: an argument would be no list when there is one machine only, or none that succeeded.
        by_uuid = {chunk["uuid"]: chunk for chunk in ti.xcom_pull(task_ids=["render_chunk.run"]) if chunk}
        bills = [one for one in ti.xcom_pull(task_ids=["render_chunk.stop"]) if one]
        machines = [one | by_uuid.get(one["uuid"], {}) for one in bills]
        total = {
            "charge_wei": str(sum(int(one["charge_wei"] or 0) for one in machines)),
            "charge_usd": sum(one["charge_usd"] or 0.0 for one in machines),
            "machines": machines,
        }
        output = Path(params["output"])
        output.mkdir(parents=True, exist_ok=True)
        (output / "bill.json").write_text(json.dumps(total, indent=2) + "\n")
        if missing := set(frames.parse(params["frames"])) - {n for chunk in by_uuid.values() for n in chunk["frames"]}:
            lost = frames.Frames(tuple(sorted(missing)))
            raise AirflowException(f"{len(missing)} frames were not rendered: {lost}. See the tasks `run`.")
        return total

    render_chunk.expand(chunk=split()) >> bill()


render_animation()
