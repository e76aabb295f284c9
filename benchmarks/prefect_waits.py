"""What many waits in one Prefect flow run cost: requests to OctaSpace per minute, and threads.

    .venvs/prefect/bin/python -m benchmarks.prefect_waits

A real Prefect server and the emulator. The sessions never come up, so that all wait while it is counted; "each for
itself" is the same wait written with one `/info` call per session and interval, as integrations commonly do.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from octa_provider import OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.watch.watcher import watcher_for

POLL_S = 5.0


@dataclass
class Row:
    """One line of the table."""

    form: str
    waits: int
    requests_per_minute: float
    threads: int


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--waits", type=int, nargs="*", default=[1, 100, 1000])
    arguments.add_argument("--seconds", type=float, default=30.0, help="how long to count")
    options = arguments.parse_args()
    os.environ.update(PREFECT_LOGGING_LEVEL="CRITICAL", PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")
    # A thousand threads on one client say that it keeps no thousand connections.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    from prefect.testing.utilities import prefect_test_harness

    print(f"one look every {POLL_S:g} s\n")
    print(f"{'waits':>6}  {'form':<22}{'requests/min':>14}{'threads':>9}")
    with prefect_test_harness(server_startup_timeout=120):
        for count in options.waits:
            with sessions(count) as (emulator, uuids):
                for measure in (coroutines, mapped, each_for_itself):
                    row = measure(emulator, uuids, options.seconds)
                    print(f"{row.waits:>6}  {row.form:<22}{row.requests_per_minute:>14.1f}{row.threads:>9}", flush=True)


@contextmanager
def sessions(count: int) -> Iterator[tuple[EmulatorHandle, list[str]]]:
    """Sessions that are coming up, and never do."""
    with start_emulator(machines=40, room=50, quirks=False) as emulator, ThreadPoolExecutor(4) as pool:
        os.environ.update(emulator.env())
        emulator.faults({"kind": "never_ready", "times": None})
        nodes = [machine["node_id"] for machine in emulator.request("GET", "/services/mr").json()]

        def start(index: int) -> str:
            order = {"id": 0, "node_id": nodes[index % len(nodes)], "disk_size": 1, "image": "alpine:3", "app": ""}
            order |= {"envs": {}, "ports": [], "http_ports": [], "start_command": "", "entrypoint": ""}
            answer = emulator.request("POST", "/services/mr", json=[order]).json()
            return str((answer[0] if isinstance(answer, list) else answer)["uuid"])

        yield emulator, list(pool.map(start, range(count)))


def coroutines(emulator: EmulatorHandle, uuids: list[str], seconds: float) -> Row:
    """`await_until_ready` in one flow."""
    from prefect import flow

    from prefect_blocks import tasks

    @flow
    async def waits() -> None:
        await asyncio.gather(*(tasks.await_until_ready(uuid, poll_s=POLL_S, deadline_s=3600) for uuid in uuids))

    return counted("coroutines", emulator, uuids, seconds, lambda: asyncio.run(waits()))


def mapped(emulator: EmulatorHandle, uuids: list[str], seconds: float) -> Row:
    """`wait_until_ready.map` in one flow."""
    from prefect import flow

    from prefect_blocks import tasks

    @flow
    def waits() -> None:
        tasks.wait_until_ready.map(uuids, poll_s=POLL_S, deadline_s=3600).wait()

    return counted("mapped over threads", emulator, uuids, seconds, waits)


def each_for_itself(emulator: EmulatorHandle, uuids: list[str], seconds: float) -> Row:
    """One thread and one `/info` call per session and interval."""
    over = threading.Event()

    def wait(client: OctaClient, uuid: str) -> None:
        while not over.is_set():
            client.services.session(uuid).info()
            over.wait(POLL_S)

    with OctaClient() as client:
        threads = [threading.Thread(target=wait, args=(client, uuid)) for uuid in uuids]
        for thread in threads:
            thread.start()
        time.sleep(POLL_S)
        row = rate("each for itself", emulator, uuids, seconds)
        over.set()
        for thread in threads:
            thread.join()
    return row


def counted(form: str, emulator: EmulatorHandle, uuids: list[str], seconds: float, run: Callable[[], object]) -> Row:
    """Count while all wait; then let the sessions come up, so that the flow ends."""
    rows: list[Row] = []

    def watch() -> None:
        with OctaClient() as client, watcher_for(client, POLL_S) as watcher:
            while watcher.waiting < len(uuids):
                time.sleep(0.2)
            rows.append(rate(form, emulator, uuids, seconds))
        listed = emulator.request("GET", "/sessions").json()
        body = [session | {"is_ready": True} for session in listed]
        emulator.faults({"kind": "status", "status": 200, "path": "/sessions", "body": body, "times": None})

    watching = threading.Thread(target=watch)
    watching.start()
    run()
    watching.join()
    emulator.clear_faults()
    return rows[0]


def rate(form: str, emulator: EmulatorHandle, uuids: list[str], seconds: float) -> Row:
    """Requests of clients in a while, and this process's threads."""
    before = len(emulator.ledger()["requests"])
    began = time.monotonic()
    time.sleep(seconds)
    made = [one for one in emulator.ledger()["requests"][before:] if not one["path"].startswith("/_emulator")]
    return Row(form, len(uuids), len(made) / (time.monotonic() - began) * 60, threading.active_count())


if __name__ == "__main__":
    main()
