"""The states of all flow runs that a worker sees to, read together behind the back of what watches their machines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException

from octa_provider.text.loggers import plain_logger
from octa_provider.timing.within import within
from prefect_blocks.flow_run_pages import all_flow_runs_async
from prefect_blocks.flow_run_state import SeenState, read_state

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

__all__ = ["FlowRunStates"]

log = plain_logger("prefect_blocks.flow_run_states")

#: Those of a flow run that is over, or is to be ended.
_OVER = [StateType.CANCELLING, StateType.CANCELLED, StateType.COMPLETED, StateType.FAILED, StateType.CRASHED]
#: So many flow runs are asked for in one request; a database takes some ten thousand values at most.
AT_ONCE = 1000


@dataclass(eq=False)
class _Watched:
    flow_run_id: UUID
    poll_s: float
    on_over: Callable[[], object]
    seen: SeenState = field(default_factory=SeenState)
    is_read: bool = False


class FlowRunStates:
    """Reads the states of flow runs again and again, of however many in two requests, for as long as any is watched.

    A read of its own for each would be a hundred a second for 500 flow runs, each with its parameters: as much as a
    server of Prefect's can answer.

    Of one alone the state is read; of several it is asked which are over, and how many there are at all, so that an
    answer is as small as can be. For one event loop.
    """

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        self._reading: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    @asynccontextmanager
    async def watch(
        self,
        client: PrefectClient,
        flow_run_id: UUID,
        poll_s: float,
        on_over: Callable[[], object] = lambda: None,
    ) -> AsyncIterator[SeenState]:
        """Read a flow run's state again and again, at once at first, for the length of the block.

        Args:
            client: Prefect's API, the same for all that are watched.
            flow_run_id: the flow run.
            poll_s: seconds between two reads; where others are read more often, it is too.
            on_over: called at each read that shows that it is over, or to be ended.

        Yields what was last seen; it changes.
        """
        watched = _Watched(flow_run_id, poll_s, on_over)
        self._watched.append(watched)
        if self._reading is None:
            # Each belongs to the event loop that it is made on.
            self._more = asyncio.Event()
            self._reading = asyncio.create_task(self._keep_reading(client))
        self._more.set()
        try:
            yield watched.seen
        finally:
            self._watched.remove(watched)
            if not self._watched and self._reading is not None:
                self._reading.cancel()
                self._reading = None

    async def _keep_reading(self, client: PrefectClient) -> None:
        read_at = time.monotonic()
        while True:
            self._more.clear()
            if time.monotonic() >= read_at + self._pause_s:
                read_at, due = time.monotonic(), list(self._watched)
            else:
                due = [one for one in self._watched if not one.is_read]
            try:
                await self._read(client, due)
            except Exception:
                # Whatever it is, the machines of all the others are watched on.
                log.exception("the states of flow runs can't be read now")
            with suppress(TimeoutError, asyncio.TimeoutError):
                await within(self._more.wait(), max(0.0, read_at + self._pause_s - time.monotonic()))

    @property
    def _pause_s(self) -> float:
        return min((one.poll_s for one in self._watched), default=0.0)

    async def _read(self, client: PrefectClient, watched: list[_Watched]) -> None:
        for one in watched:
            # Where it can't be read now, it is when the others are.
            one.is_read = True
        seen = await _seen_states(client, {one.flow_run_id for one in watched})
        for one in watched:
            now = seen[one.flow_run_id]
            one.seen.known, one.seen.state, one.seen.exists = now.known, now.state, now.exists
            if now.is_over:
                one.on_over()


async def _seen_states(client: PrefectClient, ids: Iterable[UUID]) -> dict[UUID, SeenState]:
    """What is seen of each flow run; an API that does not answer is logged, and told as not known."""
    asked = list(ids)
    if len(asked) == 1:
        return {asked[0]: await read_state(client, asked[0])}
    seen: dict[UUID, SeenState] = {}
    for first in range(0, len(asked), AT_ONCE):
        these = asked[first : first + AT_ONCE]
        try:
            seen |= await _seen_at_once(client, these)
        except (httpx.HTTPError, PrefectException) as error:
            log.warning("the states of %d flow runs can't be read now: %s", len(these), error)
            seen |= {one: SeenState() for one in these}
    return seen


async def _seen_at_once(client: PrefectClient, ids: list[UUID]) -> dict[UUID, SeenState]:
    of_these = FlowRunFilterId(any_=ids)
    are_over = FlowRunFilter(id=of_these, state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_OVER)))
    seen = {one: SeenState(True) for one in ids}
    for run in await all_flow_runs_async(client, flow_run_filter=are_over):
        seen[run.id] = SeenState(run.state is not None, run.state)
    if await client.count_flow_runs(flow_run_filter=FlowRunFilter(id=of_these)) < len(ids):
        found = {run.id for run in await all_flow_runs_async(client, flow_run_filter=FlowRunFilter(id=of_these))}
        for one in set(ids) - found:
            # A machine is stopped for that: what pages of a list do not show is asked for by itself.
            seen[one] = await read_state(client, one)
    return seen
