"""A thousand waits in one flow run cost one list call per interval."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from prefect import flow
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect_server import PrefectServer
from waiting_for import wait_for

from octa_provider import OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.watch.watcher import watcher_for
from prefect_blocks import tasks

pytestmark = [pytest.mark.e2e]

MANY = 1000
#: Threads cost more than coroutines; the benchmark maps a thousand of these too.
MAPPED = 200
POLL_S = 1.0
#: So many list calls are measured; how long they take is the computer's affair.
MEASURED = 6


@dataclass
class Sessions:
    """Sessions that come up only when they are told to."""

    emulator: EmulatorHandle
    uuids: list[str]
    listed: list[dict[str, Any]]

    def requests(self) -> list[tuple[str, str]]:
        asked = [(one["method"], one["path"].partition("?")[0]) for one in self.emulator.ledger()["requests"]]
        return [one for one in asked if not one[1].startswith("/_emulator")]

    def are_listed(self, *, ready: bool) -> None:
        """From now on as a text: to write the list anew for each look costs the emulator more than all else."""
        body = json.dumps([session | {"is_ready": ready} for session in self.listed])
        # In between they are listed as they are, which is not ready.
        self.emulator.clear_faults()
        self.emulator.faults({"kind": "status", "status": 200, "path": "/sessions", "body": body, "times": None})


@pytest.fixture(scope="module")
def thousand() -> Iterator[Sessions]:
    with start_emulator(machines=40, room=50, quirks=False) as emulator, ThreadPoolExecutor(4) as pool:
        emulator.faults({"kind": "never_ready", "times": None})
        nodes = [machine["node_id"] for machine in emulator.request("GET", "/services/mr").json()]

        def start(index: int) -> str:
            order = {"id": 0, "node_id": nodes[index % len(nodes)], "disk_size": 1, "image": "alpine:3", "app": ""}
            order |= {"envs": {}, "ports": [], "http_ports": [], "start_command": "", "entrypoint": ""}
            answer = emulator.request("POST", "/services/mr", json=[order]).json()
            return str((answer[0] if isinstance(answer, list) else answer)["uuid"])

        uuids = list(pool.map(start, range(MANY)))
        yield Sessions(emulator, uuids, emulator.request("GET", "/sessions").json())


@pytest.fixture
def sessions(thousand: Sessions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sessions]:
    for name, value in thousand.emulator.env().items():
        monkeypatch.setenv(name, value)
    # Four events of each task run keep Prefect's server busier than all else here, and nobody asks for them.
    EventsWorker.set_client_override(NullEventsClient)
    thousand.are_listed(ready=False)
    yield thousand
    EventsWorker.set_client_override(None)
    thousand.emulator.clear_faults()


def one_list_call_per_interval(sessions: Sessions, count: int, run: Callable[[], list[Any]]) -> None:
    """While all wait there is no other request; then the sessions come up, and every wait must end with its own."""
    seen: list[tuple[str, str]] = []
    took_s = 0.0

    def watch() -> None:
        nonlocal took_s
        try:
            with OctaClient() as client, watcher_for(client, POLL_S) as watcher:
                wait_for(lambda: watcher.waiting == count, f"{count} wait")
                began = time.monotonic()
                before = len(sessions.requests())
                wait_for(lambda: len(sessions.requests()) >= before + MEASURED, f"{MEASURED} looks", every_s=POLL_S)
                seen.extend(sessions.requests()[before:])
                took_s = time.monotonic() - began
                # A wait that is at a look of its own is not counted for a moment; one that has left stays away.
                wait_for(lambda: watcher.waiting == count, f"{count} wait still")
        finally:
            sessions.are_listed(ready=True)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        results = run()
        watching.result()
    assert sorted(result["uuid"] for result in results) == sorted(sessions.uuids[:count])
    assert set(seen) == {("GET", "/sessions")}
    # 10% of spread each way, and one at each end. A busy computer makes fewer.
    assert len(seen) <= took_s / POLL_S / 0.9 + 2


def test_a_thousand_coroutines(server: PrefectServer, sessions: Sessions) -> None:
    @flow
    async def waits() -> list[Any]:
        return await asyncio.gather(
            *(tasks.await_until_ready(uuid, poll_s=POLL_S, deadline_s=7200) for uuid in sessions.uuids)
        )

    one_list_call_per_interval(sessions, MANY, lambda: asyncio.run(waits()))


def test_many_mapped_over_threads(server: PrefectServer, sessions: Sessions) -> None:
    @flow
    def waits() -> list[Any]:
        return tasks.wait_until_ready.map(sessions.uuids[:MAPPED], poll_s=POLL_S, deadline_s=7200).result()

    one_list_call_per_interval(sessions, MAPPED, waits)
