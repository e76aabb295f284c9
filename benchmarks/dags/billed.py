"""The DAGs of `benchmarks/billed_seconds.py`: one job each, on a worker or deferred, by the container or over SSH."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider.operators.job import OctaRunJobOperator

PARAMS = {
    "command": Param("true", type="string"),
    "folder": Param("", type="string"),
    "poll_s": Param(5.0, type="number"),
}
WAYS = {
    "container": {},
    "ssh": {"via": "ssh"},
    "ssh-files": {
        "inputs": {"{{ params.folder }}/scene.txt": "scene.txt"},
        "outputs": {"out.txt": "{{ params.folder }}/out.txt"},
    },
}
#: The pause between two looks is no template.
POLL_S = 5.0

for way, arguments in WAYS.items():
    for deferrable in (False, True):
        with DAG(
            f"billed-{way}-{'deferred' if deferrable else 'worker'}", schedule=None, params=PARAMS, max_active_runs=50
        ):
            OctaRunJobOperator(
                task_id="job",
                image="ubuntu:24.04",
                command="{{ params.command }}",
                deferrable=deferrable,
                poll_interval=POLL_S,
                retries=0,
                **arguments,
            )
