"""The reaper and the machines of a batch: those of a task that is at work stay, those of one that is over go."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.operators.reap import OctaReapOperator
from airflow_provider.owner import is_owner_alive
from airflow_provider.rental_key import rental_key
from octa_provider import MachineRequest

REQUEST = MachineRequest(image="alpine:3", start_command="sleep 600")


def machine_of(key: str, number: int = 1) -> Any:
    """A machine as a batch rents it."""
    with OctaHook().get_conn() as client:
        return client.rentals.start(REQUEST, key=f"{key}/batch/0a1b2c3d/m{number}")


@task
def works(ti: Any = None) -> dict[str, Any]:
    """A batch at work, with the reaper passing by."""
    key = rental_key({"ti": ti})  # type: ignore[typeddict-item]
    rented = machine_of(key)
    reaper = OctaReapOperator(task_id="reap_meanwhile", older_than_s=0)
    return {"uuid": rented.uuid, "key": rented.key, "reaped": reaper.execute({})}  # type: ignore[arg-type]


def test_the_reaper_keeps_a_batch_that_is_at_work_and_stops_what_one_that_is_over_has_left(renting: Renting) -> None:
    with DAG("batch_at_work", schedule=None) as dag:
        works()
    ended = run(dag)
    told = ended.result("works")
    assert told["reaped"] == {"orphans": [], "stopped": []}
    assert renting.running() == [told["uuid"]]
    # A batch that has ended needs nothing more, although its task has succeeded.
    with DAG("reaps_batches", schedule=None) as reaping:
        OctaReapOperator(task_id="reap", older_than_s=0)
    reaped = run(reaping).result("reap")
    assert reaped["stopped"] == [told["uuid"]]
    assert [orphan["key"] for orphan in reaped["orphans"]] == [told["key"]]
    assert renting.running() == []


@pytest.mark.parametrize(
    ("key", "is_alive"),
    [
        ("airflow/gone/run/render/-1/batch/0a1b2c3d/m1", None),
        ("studio/airflow/gone/run/render/3/batch/0a1b2c3d/m12", None),
        ("airflow/gone/run/render/-1", None),
        # What no batch of an Airflow is called is somebody else's.
        ("airflow/gone/run/render/-1/batch/0a1b2c3d/x1", True),
        ("airflow/gone/run/render/-1/chunk/0a1b2c3d/m1", True),
        ("studio/flow/batch/0a1b2c3d/m1", True),
    ],
)
def test_whose_a_machine_is_is_told_by_its_key(renting: Renting, key: str, is_alive: bool | None) -> None:
    def asks() -> str:
        return str(is_owner_alive(key))

    with DAG("asks_whose", schedule=None) as dag:
        task(asks)()
    assert run(dag).result("asks") == str(is_alive)
