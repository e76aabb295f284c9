"""A real Prefect server, a worker process, and flow runs whose machines it follows: for `job_requests.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from octa_provider.emulator.testing import EmulatorHandle

__all__ = ["flow_runs_followed"]

#: All machines run by then.
PATIENCE_S = 900.0


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
    os.environ.update(PREFECT_LOGGING_LEVEL="ERROR", PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120), tempfile.TemporaryDirectory(prefix="octa-worker-") as home:
        from prefect.settings import get_current_settings

        url = str(get_current_settings().api.url)
        pool = _submit(url, count, command, poll_s)
        worker = _start_worker(url, pool, emulator, Path(home))
        try:
            _until_all_run(emulator, count, worker)
            yield worker.pid
        finally:
            worker.kill()
            worker.wait()


def _submit(url: str, count: int, command: str, poll_s: float) -> str:
    """A work pool with so many flow runs in it; returns its name."""
    from prefect_blocks import OctaWorker

    pool = f"bench-{uuid.uuid4().hex[:8]}"
    with httpx.Client(base_url=url + "/", timeout=60) as server:

        def post(path: str, **body: Any) -> Any:
            # SQLite is busy, now and then.
            while (answer := server.post(path, json=body)).status_code == 503:
                time.sleep(0.5)
            answer.raise_for_status()
            return answer.json()

        post("work_pools/", name=pool, type="octa", base_job_template=OctaWorker.get_default_base_job_template())
        deployment = post(
            "deployments/",
            name=pool,
            flow_id=post("flows/", name="bench")["id"],
            work_pool_name=pool,
            entrypoint="bench.py:bench",
            job_variables={"command": command, "image": "alpine:3", "poll_s": poll_s, "stream_output": False},
        )
        for _ in range(count):
            post(f"deployments/{deployment['id']}/create_flow_run", state={"type": "SCHEDULED"})
    return pool


def _start_worker(url: str, pool: str, emulator: EmulatorHandle, home: Path) -> subprocess.Popen[bytes]:
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_WORKER_QUERY_SECONDS": "5",
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


def _until_all_run(emulator: EmulatorHandle, count: int, worker: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while emulator.ledger(requests=False)["running"] < count:
        if worker.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the worker has not begun all flow runs in time")
        time.sleep(1.0)
