"""How many requests a minute running jobs make, and how many threads, what CPU and memory it takes to follow them.

make bench-requests
python benchmarks/job_requests.py --by core --jobs 1 50 500 --seconds 60

`core` follows each with `Jobs.watch` in a thread of its own, as a script does; `airflow` runs the triggers of deferred
tasks on one event loop, as a triggerer does; `prefect` is a worker process, with a real Prefect server;
`prefect-blocks` are runs of an `OctaJob` in one process. Each needs a
Python that has what it measures. The jobs run on the emulator and outlive the window that is counted: a quiet one
prints nothing, a chatty one a line every five seconds. A look is due every five seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measured_process import cpu_s, requests_of, resident_mb
from octa_provider import JobSpec, OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator

POLL_S = 5.0
COMMANDS = {"quiet": "sleep 3600", "chatty": "while :; do echo working; sleep 5; done"}
#: From when all are followed until the window begins: machines come up, and the first looks come together.
WARM_UP_S = 20.0


@contextmanager
def by_core(emulator: EmulatorHandle, count: int, command: str) -> Iterator[int]:
    """`Jobs.watch`, a thread for each job."""
    enough = threading.Event()
    spec = JobSpec(image="alpine:3", command=command)
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as octa:
        with ThreadPoolExecutor(8) as pool:
            started = list(pool.map(lambda number: octa.jobs.start(spec, f"benchmark/{number}"), range(count)))

        def follow(number: int) -> None:
            try:
                octa.jobs.watch(
                    started[number], spec, on_line=lambda line: None, is_cancelled=enough.is_set, poll_s=POLL_S
                )
            except Exception:
                if not enough.is_set():
                    raise

        threads = [threading.Thread(target=follow, args=(number,)) for number in range(count)]
        for one in threads:
            one.start()
        try:
            yield os.getpid()
        finally:
            enough.set()
            for one in threads:
                one.join()


@contextmanager
def by_airflow(emulator: EmulatorHandle, count: int, command: str) -> Iterator[int]:
    """The triggers of deferred tasks."""
    import asyncio

    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    from benchmarks.deferred_waits import running_jobs

    os.environ["AIRFLOW_CONN_OCTA_DEFAULT"] = json.dumps(
        {"conn_type": "octa", "host": emulator.base_url, "password": emulator.api_key}
    )
    loop = asyncio.new_event_loop()

    async def wait(trigger: object) -> None:
        async for event in trigger.run():  # type: ignore[attr-defined]
            raise RuntimeError(f"a wait ended by itself: {event}")

    triggers = running_jobs(emulator, count, command)
    tasks = [loop.create_task(wait(trigger)) for trigger in triggers]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield os.getpid()
    finally:
        for task in tasks:
            loop.call_soon_threadsafe(task.cancel)
        gathered = asyncio.run_coroutine_threadsafe(_all_over(tasks), loop)
        gathered.result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _all_over(tasks: list[object]) -> None:
    import asyncio

    await asyncio.gather(*tasks, return_exceptions=True)  # type: ignore[call-overload]


@contextmanager
def by_prefect(emulator: EmulatorHandle, count: int, command: str) -> Iterator[int]:
    """A worker process that runs so many flow runs."""
    from benchmarks.prefect_worker import flow_runs_followed

    with flow_runs_followed(emulator, count, command, POLL_S) as pid:
        yield pid


@contextmanager
def by_prefect_blocks(emulator: EmulatorHandle, count: int, command: str) -> Iterator[int]:
    """Runs of an `OctaJob` block, triggered in one process, as a script or a flow does."""
    from benchmarks.prefect_jobs import triggered_jobs

    with triggered_jobs(emulator, count, command, POLL_S):
        yield os.getpid()


FOLLOWED = {"core": by_core, "airflow": by_airflow, "prefect": by_prefect, "prefect-blocks": by_prefect_blocks}


def measure(by: str, count: int, kind: str, seconds: float) -> dict[str, object]:
    """What jobs that run ask for, in all and by route, and the threads, CPU share and memory of who follows them.

    Args:
        by: who follows them.
        count: how many jobs.
        kind: `quiet` or `chatty`.
        seconds: the length of the window.
    """
    with (
        # With room for all, so that none is refused by one machine after the other.
        start_emulator(in_process=False, machines=40, room=max(50, count), start_delay_s=0.1) as emulator,
        FOLLOWED[by](emulator, count, COMMANDS[kind]) as pid,
    ):
        # The first look at each job reads its log without a turn, and a busy machine is slow to bring them up.
        while requests_of(emulator)["GET /services/{uuid}/logs"] < count:
            time.sleep(1.0)
        time.sleep(WARM_UP_S)
        cpu_before_s = cpu_s(pid)
        before = requests_of(emulator)
        begun = time.monotonic()
        time.sleep(seconds)
        a_minute = 60 / (time.monotonic() - begun)
        memory_mb = resident_mb(pid)
        made, threads = requests_of(emulator) - before, len(list(Path(f"/proc/{pid}/task").iterdir()))
        took_cpu_s = cpu_s(pid) - cpu_before_s
        running = emulator.ledger(requests=False)["running"]
    assert running == count, f"{running} of {count} jobs ran while it was counted"
    return {
        "by": by,
        "jobs": count,
        "kind": kind,
        "requests_a_minute": round(made.total() * a_minute, 1),
        "threads": threads,
        "cpu_share": round(took_cpu_s * a_minute / 60, 4),
        "resident_mb": memory_mb,
        "by_route": {route: round(number * a_minute, 1) for route, number in made.most_common()},
    }


def main() -> None:
    """Measure, and print a JSON value for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=FOLLOWED, default="core", help="who follows them")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 50, 500], help="how many at once")
    parser.add_argument("--kinds", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--seconds", type=float, default=60.0, help="the length of the window")
    arguments = parser.parse_args()
    # A worker and a server are ended with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for kind in arguments.kinds:
        for count in arguments.jobs:
            print(json.dumps(measure(arguments.by, count, kind, arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
