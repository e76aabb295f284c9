"""What is in a task's list of XComs when it is over: what somebody reads, and nothing else."""

from __future__ import annotations

import pytest
from airflow.models import xcom
from airflow.providers.common.compat.sdk import DAG
from airflow.utils.session import create_session
from airflow_runs import Renting, Run, run

from airflow_provider.operators.job import OctaRunJobOperator

ROW = getattr(xcom, "XComModel", None) or xcom.XCom
#: Where Airflow keeps what a task's link leads to.
LINK = "octa_link_OctaSessionLink"


def keys_of(ended: Run, task_id: str) -> set[str]:
    with create_session() as session:
        found = session.query(ROW.key).filter(ROW.run_id == ended.run_id, ROW.task_id == task_id)
        return {key for (key,) in found}


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("command", ["echo hello", "exit 3"])
def test_a_job_leaves_what_it_came_to_and_its_link(renting: Renting, deferrable: bool, command: str) -> None:
    with DAG("xcom_keys", schedule=None) as dag:
        OctaRunJobOperator(task_id="job", image="alpine:3", command=command, poll_interval=0.2, deferrable=deferrable)
    ended = run(dag)
    result = {"return_value"} if command == "echo hello" else set()
    assert keys_of(ended, "job") == {"uuid", "session", "cost", *result, LINK}
