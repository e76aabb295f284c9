"""`airflow dags test` reads a connection out of the database at once, also in a trigger."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from airflow.models.connection import Connection
from airflow.providers.common.compat.sdk import DAG
from airflow.utils.session import create_session
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator

CONN_ID = "octa_in_the_database"


@pytest.fixture
def stored(renting: Renting) -> Iterator[Renting]:
    """A connection that Airflow alone can tell, as one that was made in its UI."""
    extra = {"timeout": 120, "retries": 1, "namespace": "stored"}
    emulator = renting.emulator
    with create_session() as session:
        row = {"conn_id": CONN_ID, "conn_type": "octa", "host": emulator.base_url, "password": emulator.api_key}
        session.add(Connection(**row, extra=json.dumps(extra)))
    yield renting
    with create_session() as session:
        session.query(Connection).filter(Connection.conn_id == CONN_ID).delete()


def test_a_deferred_job_is_watched_under_a_connection_of_the_database(
    stored: Renting, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with DAG("stored_connection", schedule=None) as dag:
        OctaRunJobOperator(
            task_id="job",
            image="alpine:3",
            command="echo hello",
            octa_conn_id=CONN_ID,
            poll_interval=0.2,
            deferrable=True,
        )
    assert run(dag).state == "success"
    told = caplog.text + "".join(capfd.readouterr())
    assert "can't be read, asking again" not in told
    assert "this worker does" not in told
    assert [session["rental_key"].split("/")[0] for session in stored.sessions] == ["stored"]
