"""A worker's looks for what other workers of its pool have left, and what it does about each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import httpx
from prefect.exceptions import PrefectException

from prefect_blocks.flow_run_state import mark_as_cancelled
from prefect_blocks.unbegun_runs import UnbegunRuns, is_cancelled_unbegun, is_unbegun

if TYPE_CHECKING:
    from prefect.blocks.abstract import LoggerOrAdapter
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from prefect_blocks.unfollowed_machines import LeftByWorkers, UnfollowedMachine

__all__ = ["LeftLook"]


class Begin(Protocol):
    """Begins a flow run as if the server had just handed it out."""

    def __call__(self, run: FlowRun, /) -> Awaitable[bool]:
        """Begin it; returns whether it is being begun, and not so where the worker has as many as it may have."""


class LeftLook:
    """What one worker has seen of what others have left.

    Args:
        follow: follows a machine from now on.
        begin: begins a flow run.
    """

    def __init__(self, follow: Callable[[UnfollowedMachine], None], begin: Begin) -> None:
        self._follow = follow
        self._begin = begin
        self._missed: set[UUID] = set()
        self._unbegun = UnbegunRuns()

    async def act_on(
        self, client: PrefectClient, left: LeftByWorkers, *, followed: Collection[UUID], queues: Collection[str] | None
    ) -> None:
        """Follow machines, tell the end of what was cancelled, and begin flow runs, of what a look has found.

        Args:
            client: Prefect's API.
            left: what was found.
            followed: flow runs that this worker follows; it changes meanwhile.
            queues: of which flow runs are begun; empty for all, None for none.

        Raises:
            httpx.HTTPError, PrefectException: Prefect's API can't be asked.
        """
        # One that is not listed may only be too new: it must be missed twice.
        missed = {machine.flow_run.id for machine in left.machines if not machine.listed}
        for machine in left.machines:
            if machine.flow_run.id not in followed and (machine.listed or machine.flow_run.id in self._missed):
                self._follow(machine)
        self._missed = missed
        for run in left.machineless:
            if is_cancelled_unbegun(run):
                await mark_as_cancelled(client, run.id, "Cancelled before it had a machine; its worker had ended.")
        served = (
            [] if queues is None else [run for run in left.machineless if not queues or run.work_queue_name in queues]
        )
        for run in self._unbegun.take([run for run in served if is_unbegun(run)]):
            if not await self._begin(run):
                self._unbegun.leave(run)

    def has_taken(self, run: FlowRun) -> bool:
        """Whether a flow run was left by another worker, and taken here.

        Args:
            run: the flow run.
        """
        return self._unbegun.is_taken(run)

    async def claim(self, client: PrefectClient, run: FlowRun, worker_name: str, logger: LoggerOrAdapter) -> bool:
        """Put this worker's name to a flow run that was taken.

        Args:
            client: Prefect's API.
            run: the flow run.
            worker_name: this worker's.
            logger: the flow run's.

        Returns:
            Whether it is this worker's now; not so where another one has it, or Prefect's API can't be asked.
        """
        try:
            if not await self._unbegun.claim(client, run, worker_name):
                return False
        except (httpx.HTTPError, PrefectException) as error:
            logger.warning("flow run %s can't be begun now: %s", run.id, error)
            return False
        logger.warning("Its worker ended before it rented a machine: worker %s begins the flow run", worker_name)
        return True
