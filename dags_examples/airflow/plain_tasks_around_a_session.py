"""Several plain tasks share one rented machine: the task group `octa_session`.

The machine is rented before the first of them and stopped after the last, also when one fails. The tasks reach it over
SSH, and what one leaves there the next one finds: here the data go up once, are worked on twice, and the results come
down once. What it cost is what `machine.stop` returns.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account. Set `data` to a text file
that the workers see, and `output` to a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import AirflowException, Param, chain, dag, task

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.task_group import octa_session


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace"],
    params={
        "data": Param("/data/words.txt", type="string", title="Data", description="A text file on the worker."),
        "output": Param("/data/results", type="string", title="Output", description="Where the results go."),
    },
)
def plain_tasks_around_a_session() -> None:
    @task
    def upload(session: dict[str, Any], params: dict[str, Any] | None = None) -> int:
        assert params is not None
        with OctaHook().get_ssh(session["uuid"]) as machine:
            return machine.put(params["data"], "work/data.txt")

    @task
    def work(session: dict[str, Any], command: str) -> None:
        with OctaHook().get_ssh(session["uuid"]) as machine:
            ended = machine.run(f"mkdir -p work/results; cd work; {command}", on_line=print)
        if ended.exit_code != 0:
            raise AirflowException(f"{command!r} ended with exit code {ended.exit_code}; its last lines are above.")

    @task
    def download(session: dict[str, Any], params: dict[str, Any] | None = None) -> list[str]:
        assert params is not None
        with OctaHook().get_ssh(session["uuid"]) as machine:
            return sorted(str(path) for path in machine.get("work/results", Path(params["output"])))

    with octa_session("machine", image="ubuntu:24.04", max_price_usd=1.0, poll_interval=5, retries=2) as session:
        words = work.override(task_id="sort")(session, "sort -u data.txt > results/sorted.txt")
        count = work.override(task_id="count")(session, "wc -l < results/sorted.txt | tee results/count.txt")
        chain(upload(session), words, count, download(session))


plain_tasks_around_a_session()
