"""Logs go to a file of the worker, or to object storage: a URL or an `ObjectStoragePath`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath
from airflow_runs import Renting, run
from test_run_job import run_job
from waited_for import until

from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.written_file import write_text
from octa_provider import MachineRequest


@pytest.fixture
def uuid(renting: Renting) -> str:
    """A session that has printed something, and has ended."""
    with renting.client() as client:
        request = MachineRequest(image="alpine:3", start_command="echo printed; sleep 600")
        rental = client.rentals.start(request, key="tests/written")
        rental.wait_until_ready(poll_s=0.1)
        until(lambda: "printed" in rental.logs().container)
        rental.stop()
    return rental.uuid


def fetched(uuid: str, path: Any) -> Any:
    with DAG("fetches", schedule=None) as dag:
        OctaFetchLogsOperator(task_id="logs", session=uuid, path=path)
    ended = run(dag)
    assert ended.state == "success"
    return ended.result("logs")["path"]


@pytest.mark.parametrize("kind", ["path", "url", "object"])
def test_logs_are_fetched_to_wherever_they_belong(uuid: str, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "made" / "on-the-way" / "session.log"
    path = {"path": str(target), "url": target.as_uri(), "object": ObjectStoragePath(target.as_uri())}[kind]
    told = fetched(uuid, path)
    assert target.read_text() == "printed\n"
    assert str(told).endswith(str(target))


def test_a_url_is_templated(uuid: str, tmp_path: Path) -> None:
    fetched(uuid, f"{tmp_path.as_uri()}/{{{{ dag.dag_id }}}}.log")
    assert (tmp_path / "fetches.log").read_text() == "printed\n"


def test_a_store_without_folders_works_too() -> None:
    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach
    attach("memory", fs=fsspec.filesystem("memory"))
    written = write_text("memory://bucket/run/job.log", "printed\n")
    # Airflow 2 writes the scheme of such a store with three strokes.
    assert written.replace(":///", "://") == "memory://bucket/run/job.log"
    with fsspec.filesystem("memory").open("bucket/run/job.log", "rt") as file:
        assert file.read() == "printed\n"


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("via", ["container", "ssh"])
def test_a_jobs_log_goes_to_object_storage(renting: Renting, tmp_path: Path, deferrable: bool, via: str) -> None:
    log_path = f"{tmp_path.as_uri()}/{{{{ run_id }}}}/job.log"
    ended = run_job("stored", command="seq 1 200", via=via, log_path=log_path, deferrable=deferrable)
    assert ended.state == "success"
    (target,) = tmp_path.glob("*/job.log")
    assert target.read_text().split() == [str(number) for number in range(1, 201)]
    assert ended.result("job")["logs_path"] == f"file://{target}"


def test_a_log_that_cannot_be_stored_does_not_fail_the_job(
    renting: Renting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    ended = run_job("not_stored", log_path=f"{tmp_path.as_uri()}/taken/job.log")
    assert ended.state == "success"
    assert ended.result("job")["logs_path"] is None
    assert "The log can't be written to" in caplog.text
