"""Every quarter of an hour, stop rented machines whose task is over: where Airflow gave nobody a chance to.

That is rare: a deferred task that was deleted or marked while no triggerer ran, a worker that vanished and whose task
is not tried again. Each machine's rental key names its task, and Airflow is asked about it: a machine whose task is
not over is left alone, until it is as old as no job of yours should be, since the task of a paused DAG is never over.
So is one that nobody started from this Airflow: others may share the account.

Needs a connection `octa_default` of the type OctaSpace.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import Param, dag

from airflow_provider.operators.reap import OctaReapOperator


@dag(
    schedule=timedelta(minutes=15),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["octaspace"],
    params={
        "older_than_s": Param(300, type="number", minimum=0, title="Age", description="Seconds; younger ones stay."),
        "max_age_s": Param(
            2 * 24 * 3600, type="number", exclusiveMinimum=0, title="Oldest", description="Seconds; none gets older."
        ),
    },
)
def reap_orphans() -> None:
    OctaReapOperator(
        task_id="reap",
        dag_ids=None,
        older_than_s="{{ params.older_than_s }}",
        max_age_s="{{ params.max_age_s }}",
        retries=2,
        retry_delay=timedelta(minutes=1),
    )


reap_orphans()
