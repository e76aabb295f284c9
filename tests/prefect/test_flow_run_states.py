"""However many flow runs a worker sees to, it asks Prefect's server for their states together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect_server import PrefectServer
from waiting_for import LONG_S

from prefect_blocks import flow_run_states
from prefect_blocks.flow_run_state import SeenState
from prefect_blocks.flow_run_states import FlowRunStates


class Runs:
    """Flow runs on the server, watched by one reader, and what that has asked."""

    def __init__(self, client: PrefectClient, stack: AsyncExitStack, states: FlowRunStates) -> None:
        self.client = client
        self.states = states
        self.told: Counter[UUID] = Counter()
        self.asked: Counter[str] = Counter()
        self._stack = stack

    async def watch(self, run: UUID, poll_s: float = 0.05) -> SeenState:
        return await self._stack.enter_async_context(
            self.states.watch(self.client, run, poll_s, lambda: self.told.update([run]))
        )

    def was_asked(self, request: httpx.Request) -> None:
        path = request.url.path.removeprefix("/api")
        by_itself = request.method == "GET" and path.startswith("/flow_runs/")
        self.asked["one by itself" if by_itself else path] += 1


@asynccontextmanager
async def watching(states: FlowRunStates | None = None) -> AsyncIterator[Runs]:
    async with get_client() as client, AsyncExitStack() as stack:
        runs = Runs(client, stack, states or FlowRunStates())

        async def note(request: httpx.Request) -> None:
            runs.was_asked(request)

        client._client.event_hooks["request"].append(note)
        yield runs


async def until(question: Callable[[], object]) -> None:
    began = time.monotonic()
    while not question():
        assert time.monotonic() - began < LONG_S
        await asyncio.sleep(0.05)


def new_run(server: PrefectServer, state: str = "RUNNING") -> UUID:
    flow = server.post("/flows/", name="watched")["id"]
    return UUID(server.post("/flow_runs/", flow_id=flow, state={"type": state})["id"])


def put_into(server: PrefectServer, run: UUID, state: str) -> None:
    server.post(f"/flow_runs/{run}/set_state", state={"type": state}, force=True)


def test_many_are_read_in_two_requests(server: PrefectServer) -> None:
    ids = [new_run(server, state) for state in ("RUNNING", "PENDING", "RUNNING", "CANCELLING", "COMPLETED")]

    async def main() -> None:
        async with watching() as runs:
            seen = [await runs.watch(run) for run in ids]
            await until(lambda: runs.asked["/flow_runs/count"] >= 5)
            assert runs.asked["/flow_runs/filter"] - runs.asked["/flow_runs/count"] in (0, 1)
            assert runs.asked["one by itself"] <= 1, "the first that was watched, before there were others"
            assert [one.known for one in seen] == [True] * 5
            assert [one.is_over for one in seen] == [False, False, False, True, True]
            assert set(runs.told) == set(ids[3:])
            put_into(server, ids[0], "CANCELLED")
            await until(lambda: seen[0].is_over)
            assert seen[0].state is not None
            assert seen[0].state.is_cancelled()

    asyncio.run(main())


def test_one_that_is_deleted_is_over_and_the_others_are_not(server: PrefectServer) -> None:
    ids = [new_run(server) for _ in range(3)]

    async def main() -> None:
        async with watching() as runs:
            seen = [await runs.watch(run) for run in ids]
            await until(lambda: all(one.known for one in seen))
            server.delete(f"/flow_runs/{ids[1]}")
            await until(lambda: seen[1].is_over)
            assert [one.exists for one in seen] == [True, False, True]
            assert [one.is_over for one in seen] == [False, True, False]
            assert set(runs.told) == {ids[1]}

    asyncio.run(main())


def test_one_that_a_list_does_not_show_is_asked_for_before_it_counts_as_deleted(
    server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two pages of a list one may slip through, when another is deleted. A machine is stopped for that."""
    ids = [new_run(server) for _ in range(3)]

    async def shows_nothing(*args: object, **filters: object) -> list[object]:
        return []

    monkeypatch.setattr(flow_run_states, "all_flow_runs_async", shows_nothing)

    async def main() -> None:
        async with watching() as runs:
            seen = [await runs.watch(run) for run in ids]
            server.delete(f"/flow_runs/{ids[1]}")
            await until(lambda: seen[1].is_over)
            assert [one.exists for one in seen] == [True, False, True]
            assert not seen[0].is_over

    asyncio.run(main())


def test_one_that_comes_later_is_read_at_once_and_the_last_ends_the_reading(server: PrefectServer) -> None:
    first, later = new_run(server), new_run(server, "CANCELLING")
    states = FlowRunStates()

    async def main() -> None:
        async with watching(states) as runs:
            an_hour = 3600.0
            seen = await runs.watch(first, an_hour)
            await until(lambda: seen.known)
            async with runs.states.watch(runs.client, later, an_hour) as seen_later:
                await until(lambda: seen_later.is_over)
            assert not seen.is_over
        # Nothing reads on.
        await until(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(main())
    # A worker object may be used again, on another event loop.
    asyncio.run(main())


@pytest.mark.parametrize("error", [httpx.ConnectError("away"), ValueError("an odd answer")])
def test_a_server_that_is_away_for_a_while_has_told_nothing(
    server: PrefectServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    ids = [new_run(server, "CANCELLING") for _ in range(3)]
    count = PrefectClient.count_flow_runs
    is_away = True

    async def away_at_first(self: PrefectClient, **filters: Any) -> int:
        if is_away:
            raise error
        return await count(self, **filters)

    monkeypatch.setattr(PrefectClient, "count_flow_runs", away_at_first)
    caplog.set_level(logging.WARNING)

    async def main() -> None:
        nonlocal is_away
        async with watching() as runs:
            seen = [await runs.watch(run) for run in ids]
            await until(lambda: "states of" in caplog.text)
            assert not any(one.is_over for one in seen)
            is_away = False
            await until(lambda: all(one.is_over for one in seen))

    asyncio.run(main())
