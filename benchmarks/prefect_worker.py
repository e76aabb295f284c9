"""A real Prefect server, a worker process, and flow runs whose machines it follows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.own_postgres import own_postgres
from octa_provider.emulator.testing import EmulatorHandle

__all__ = ["flow_runs_followed", "prefect_server", "worker_serving"]

#: All machines run by then.
PATIENCE_S = 900.0
#: So many flow runs begin at a time.
AT_ONCE = 50
#: Names the database of Prefect's server, an empty one, such as `postgresql+asyncpg://bench@127.0.0.1/bench`.
DATABASE = "BENCH_PREFECT_DATABASE"


@contextmanager
def prefect_server(many: bool = False) -> Iterator[str]:
    """A real server, which this process uses too; yields its API's URL.

    Args:
        many: have it keep what it knows in PostgreSQL where that is installed, or where one is named by `DATABASE`: its
            SQLite locks itself out when hundreds of flow runs begin, and some of them crash for it.
    """
    os.environ.update(PREFECT_LOGGING_LEVEL="ERROR", PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")
    with _database(many) as database:
        if database is not None:
            from prefect.settings import PREFECT_API_URL, temporary_settings

            with _server_on(database) as url, temporary_settings({PREFECT_API_URL: url}):
                yield url
            return
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            from prefect.settings import get_current_settings

            yield str(get_current_settings().api.url)


@contextmanager
def _database(many: bool) -> Iterator[str | None]:
    if not many or DATABASE in os.environ:
        yield os.environ.get(DATABASE)
        return
    with own_postgres() as database:
        yield None if database is None else f"postgresql+asyncpg://{database}"


@contextmanager
def _server_on(database: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [Path(sys.executable).parent / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "PREFECT_API_DATABASE_CONNECTION_URL": database},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url, until = f"http://127.0.0.1:{port}/api", time.monotonic() + PATIENCE_S
    try:
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{url}/health", timeout=30).status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Prefect's server does not start on the database of {DATABASE}")
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def worker_serving(
    emulator: EmulatorHandle, query_s: int = 5, many: bool = False
) -> Iterator[tuple[Callable[..., None], subprocess.Popen[bytes]]]:
    """A worker that serves a work pool of its own.

    Args:
        emulator: where the machines are rented.
        query_s: seconds between two times that it asks for flow runs.
        many: there will be hundreds: see `prefect_server`.

    Yields what makes a flow run, called with its job variables and the worker's process.
    """
    with (
        prefect_server(many) as url,
        tempfile.TemporaryDirectory(prefix="octa-worker-") as home,
        httpx.Client(base_url=url + "/", timeout=300) as server,
    ):

        def post(path: str, **body: Any) -> Any:
            # SQLite is busy, now and then. What is made is made once: it has a name of its own.
            while True:
                with suppress(httpx.TransportError):
                    if (answer := server.post(path, json=body)).status_code != 503:
                        break
                time.sleep(0.5)
            answer.raise_for_status()
            return answer.json()

        pool, deployment = _pool(post)
        worker = _start_worker(url, pool, emulator, Path(home), query_s)

        def submit(**job_variables: Any) -> None:
            path = f"deployments/{deployment}/create_flow_run"
            name = uuid.uuid4().hex
            post(path, state={"type": "SCHEDULED"}, job_variables=job_variables, idempotency_key=name)

        try:
            yield submit, worker
        finally:
            worker.kill()
            worker.wait()


@contextmanager
def flow_runs_followed(emulator: EmulatorHandle, count: int, command: str, poll_s: float) -> Iterator[int]:
    """A worker that follows so many flow runs, whose processes do nothing but the command.

    Args:
        emulator: where the machines are rented.
        count: how many flow runs.
        command: what each machine runs in the place of a flow.
        poll_s: seconds between two looks.

    Yields the id of the worker's process, once all of them run.
    """
    with worker_serving(emulator, many=count > AT_ONCE) as (submit, worker):
        begin = partial(submit, command=command, image="alpine:3", poll_s=poll_s, stream_output=False)
        crashed = 0
        for made in range(1, count + 1):
            begin()
            if made % AT_ONCE == 0 or made == count:
                crashed = _until_all_run(emulator, made, worker, begin, crashed)
        yield worker.pid


def _pool(post: Callable[..., Any]) -> tuple[str, str]:
    """A work pool with one deployment; returns its name and the deployment's id."""
    from prefect_blocks import OctaWorker

    pool = f"bench-{uuid.uuid4().hex[:8]}"
    post("work_pools/", name=pool, type="octa", base_job_template=OctaWorker.get_default_base_job_template())
    deployment = post(
        "deployments/",
        name=pool,
        flow_id=post("flows/", name="bench")["id"],
        work_pool_name=pool,
        entrypoint="bench.py:bench",
    )
    return pool, str(deployment["id"])


def _start_worker(url: str, pool: str, emulator: EmulatorHandle, home: Path, query_s: int) -> subprocess.Popen[bytes]:
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_WORKER_QUERY_SECONDS": str(query_s),
        "PREFECT_LOGGING_LEVEL": "WARNING",
        **emulator.env(),
    }
    prefect = Path(sys.executable).parent / "prefect"
    with (home / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [prefect, "worker", "start", "--pool", pool, "--type", "octa"],
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )


def _until_all_run(
    emulator: EmulatorHandle, count: int, worker: subprocess.Popen[bytes], begin: Callable[[], None], crashed: int
) -> int:
    """Wait until so many run; returns how many have crashed meanwhile, in whose places others have been begun."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    are_crashed = FlowRunFilter.model_validate({"state": {"type": {"any_": ["CRASHED"]}}})
    until = time.monotonic() + PATIENCE_S
    with get_client(sync_client=True) as server:
        while emulator.ledger(requests=False)["running"] < count:
            if worker.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the worker has not begun all flow runs in time")
            # Prefect's worker crashes a flow run when a server whose SQLite is busy refuses it a label.
            while crashed < server.count_flow_runs(flow_run_filter=are_crashed):
                begin()
                crashed += 1
            time.sleep(1.0)
    return crashed
