"""Jobs by Prefect, with a real server: in a flow, as a worker's flow runs, or triggered by a script."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING

from octa_provider.emulator.testing import EmulatorHandle

if TYPE_CHECKING:
    from benchmarks.billed_seconds import Job

__all__ = ["run_by_a_worker", "run_in_a_flow", "triggered_jobs"]

#: All machines are gone by then.
PATIENCE_S = 900.0


def run_in_a_flow(emulator: EmulatorHandle, jobs: Sequence[Job], poll_s: float) -> None:
    """Run each in a task of one flow.

    Args:
        emulator: where the machines are rented.
        jobs: what to run.
        poll_s: seconds between two looks.
    """
    from benchmarks.prefect_worker import prefect_server

    os.environ.update(emulator.env(), OCTA_SSH_KEY_FILE=str(emulator.ssh_private_key))
    with prefect_server():
        from prefect import flow
        from prefect.task_runners import ThreadPoolTaskRunner

        from prefect_blocks.tasks import run_job

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=len(jobs)))  # type: ignore[arg-type]
        def billed() -> None:
            futures, options = [], dict[str, object]()
            for job in jobs:
                options = {"key": job.name, "via": job.way.via, "poll_s": poll_s, "timeout_s": 600}
                if job.way.has_files:
                    options |= {
                        "inputs": {str(job.folder / "scene.txt"): "scene.txt"},
                        "outputs": {"out.txt": str(job.folder / "out.txt")},
                    }
                futures.append(run_job.submit("ubuntu:24.04", job.command, **options))
            for future in futures:
                future.result()

        billed()


def run_by_a_worker(emulator: EmulatorHandle, jobs: Sequence[Job], poll_s: float) -> None:
    """Run each as the machine of a flow run that a worker follows; Prefect's worker has no files to move.

    Args:
        emulator: where the machines are rented.
        jobs: what to run.
        poll_s: seconds between two looks.
    """
    from benchmarks.prefect_worker import worker_serving

    os.environ["OCTA_SSH_KEY_FILE"] = str(emulator.ssh_private_key)
    with worker_serving(emulator, query_s=1) as (submit, worker):
        for job in jobs:
            submit(command=job.command, via=job.way.via, poll_s=poll_s, image="ubuntu:24.04", stream_output=False)
        until = time.monotonic() + PATIENCE_S
        while sum(one["stopped_ms"] is not None for one in emulator.ledger(requests=False)["sessions"]) < len(jobs):
            if worker.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the worker has not seen all flow runs to their end in time")
            time.sleep(0.5)


@contextmanager
def triggered_jobs(emulator: EmulatorHandle, count: int, command: str, poll_s: float) -> Iterator[None]:
    """So many runs of a block in this process, each followed, while the block lasts; the process's end stops them.

    Args:
        emulator: where the machines are rented.
        count: how many.
        command: what each machine runs.
        poll_s: seconds between two looks.
    """
    from benchmarks.prefect_worker import AT_ONCE, prefect_server

    os.environ.update(emulator.env())
    with prefect_server(many=count > AT_ONCE):
        from prefect_blocks import OctaJob

        job = OctaJob(image="alpine:3", command=command, poll_s=poll_s)
        with ThreadPoolExecutor(8) as pool:
            triggered = [pool.submit(copy_context().run, job.trigger, f"job {number}") for number in range(count)]
            runs = [one.result() for one in triggered]
        yield
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda run: run.stop(), runs))
