"""What deferred waits cost: requests per minute, and how long they hold up the triggerer's event loop.

python benchmarks/deferred_waits.py                       1, 100 and 1,000 sessions and jobs that start, 50 that run
python benchmarks/deferred_waits.py --seconds 20 --waits 100

Runs our triggers on one event loop, as a triggerer does, against the emulator, with a list call every five seconds.
Each wait has a session of its own. Run it with a Python that has Airflow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from octa_provider import JobSpec, OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator

POLL_S = 5.0
FAR_S = 7200.0


@dataclass(frozen=True)
class Measured:
    """What a number of waits came to.

    Attributes:
        waits: how many there were.
        seconds: how long they were watched, after they had all begun.
        list_calls: `GET /sessions` meanwhile.
        other_calls: all other requests meanwhile.
        lag_s: for each wakening of the loop every 10 ms, how late it was.
        events: waits that ended meanwhile; there should be none.
    """

    waits: int
    seconds: float
    list_calls: int
    other_calls: int
    lag_s: Sequence[float]
    events: int

    def per_minute(self, calls: int) -> float:
        """A number of calls as so many a minute."""
        return calls * 60 / self.seconds


def start_sessions(emulator: EmulatorHandle, count: int, image: str = "alpine:3") -> list[str]:
    """Start sessions that never get ready; returns their uuids."""
    emulator.faults({"kind": "never_ready", "times": None})
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as client:
        nodes = [machine.node_id for machine in client.services.mr.available()]
    before = emulator.ledger(requests=False)["running"]
    for number in range(4 * count):
        # Some machines refuse: it is a marketplace.
        body = [{"node_id": nodes[number % len(nodes)], "image": image, "disk_size": 10}]
        emulator.request("POST", "/services/mr", json=body)
        if number >= count - 1 and emulator.ledger(requests=False)["running"] - before >= count:
            break
    emulator.clear_faults()
    uuids = [str(uuid) for uuid in emulator.ledger(requests=False)["running_uuids"]]
    assert len(uuids) >= count, f"only {len(uuids)} sessions could be started"
    return uuids


def session_triggers(uuids: Sequence[str], poll_s: float = POLL_S) -> list[Any]:
    """A wait for each session to be ready."""
    from airflow_provider.triggers.session import OctaSessionReadyTrigger

    late = time.time() + FAR_S
    return [
        OctaSessionReadyTrigger(
            octa_conn_id="octa_default", session={"uuid": uuid}, deadline_at=late, poll_interval=poll_s
        )
        for uuid in uuids
    ]


def job_triggers(uuids: Sequence[str], poll_s: float = POLL_S) -> list[Any]:
    """A wait for a job on each session, that is still to come up."""
    from octa_provider import JobState
    from octa_provider.rental.terms import Terms

    now = time.time()
    return [
        _job_trigger(
            JobState(
                key=f"benchmark/{uuid}",
                rental=Terms(uuid),
                nonce="0123456789abcdef",
                over_ssh=False,
                timeout_s=3600,
                appear_by=now + 60,
                ready_by=now + FAR_S,
                outputs={},
                attempts=1,
            ),
            poll_s,
        )
        for uuid in uuids
    ]


def running_jobs(
    emulator: EmulatorHandle, count: int, command: str = "sleep 600", octa_conn_id: str = "octa_default"
) -> list[Any]:
    """A wait for each of so many jobs that run for real."""
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as client:
        spec = JobSpec(image="alpine:3", command=command)
        with ThreadPoolExecutor(8) as pool:
            started = pool.map(lambda number: client.jobs.start(spec, f"benchmark/running/{number}"), range(count))
            return [_job_trigger(state, octa_conn_id=octa_conn_id) for state in started]


def _job_trigger(state: Any, poll_s: float = POLL_S, octa_conn_id: str = "octa_default") -> Any:
    from airflow_provider.job_json import job_to_json
    from airflow_provider.triggers.job import OctaJobTrigger

    return OctaJobTrigger(
        octa_conn_id=octa_conn_id,
        job=job_to_json(state),
        latest_end=time.time() + 2 * FAR_S,
        deadline_at=time.time() + FAR_S,
        poll_interval=poll_s,
    )


def measure(emulator: EmulatorHandle, triggers: Sequence[Any], seconds: float, warm_up_s: float = 6.0) -> Measured:
    """Run triggers on one loop, and count once their first looks, which come at once, are over."""
    os.environ["AIRFLOW_CONN_OCTA_DEFAULT"] = json.dumps(
        {"conn_type": "octa", "host": emulator.base_url, "password": emulator.api_key}
    )
    return asyncio.run(_measured(emulator, triggers, seconds, warm_up_s))


async def _measured(emulator: EmulatorHandle, triggers: Sequence[Any], seconds: float, warm_up_s: float) -> Measured:
    events: list[Any] = []

    async def wait(trigger: Any) -> None:
        async for event in trigger.run():
            events.append(event)

    tasks = [asyncio.create_task(wait(trigger)) for trigger in triggers]
    await asyncio.sleep(warm_up_s)
    begun, lag_s = time.monotonic(), list[float]()
    before = len(await asyncio.to_thread(_requests, emulator))
    while time.monotonic() - begun < seconds:
        asleep = time.monotonic()
        await asyncio.sleep(0.01)
        lag_s.append(time.monotonic() - asleep - 0.01)
    made = (await asyncio.to_thread(_requests, emulator))[before:]
    watched_s = time.monotonic() - begun
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    calls = Counter((one["method"], one["path"]) for one in made if not one["path"].startswith("/_emulator"))
    listed = calls.pop(("GET", "/sessions"), 0)
    return Measured(len(triggers), watched_s, listed, calls.total(), lag_s, len(events))


def _requests(emulator: EmulatorHandle) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = emulator.ledger()["requests"]
    return requests


def _row(kind: str, measured: Measured) -> str:
    lag_ms = sorted(1000 * lag for lag in measured.lag_s)
    return (
        f"| {kind} | {measured.waits:,} | {measured.per_minute(measured.list_calls):.1f} "
        f"| {measured.per_minute(measured.other_calls):.1f} | {statistics.median(lag_ms):.1f} "
        f"| {lag_ms[int(len(lag_ms) * 0.99)]:.1f} | {lag_ms[-1]:.1f} |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each number of waits is watched")
    parser.add_argument("--waits", type=int, nargs="*", default=[1, 100, 1000])
    parser.add_argument("--running", type=int, default=50, help="jobs that run, and are looked at each")
    arguments = parser.parse_args()
    print("| waits for | number | list calls/min | other calls/min | loop lag ms, median | 99 % | worst |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for waits in arguments.waits:
        with start_emulator(machines=40, room=50) as emulator:
            uuids = start_sessions(emulator, waits)
            half = (waits + 1) // 2
            triggers = session_triggers(uuids[:half]) + job_triggers(uuids[half:])
            measured = measure(emulator, triggers, arguments.seconds)
            assert measured.events == 0, "a wait ended by itself"
            print(_row("sessions and jobs that start", measured), flush=True)
    if arguments.running:
        with start_emulator(machines=40, room=50) as emulator:
            triggers = running_jobs(emulator, arguments.running)
            print(_row("jobs that run, each read for its log", measure(emulator, triggers, arguments.seconds)))


if __name__ == "__main__":
    main()
