"""How a flow run gets its machine, and another one when that never comes up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio.from_thread
import httpx
from prefect.exceptions import PrefectException

from octa_provider.errors import OctaCancelledError, OctaConfigError
from octa_provider.remote.target import check_key, ssh_key
from octa_provider.rental.leaving import Leaving
from octa_provider.rental.rental import Rental
from octa_provider.rental.session_text import session_text
from octa_provider.rental.terms import Bill
from octa_provider.rental.tried_machine import attempts_of
from prefect_blocks.events import emit
from prefect_blocks.flow_run_state import SeenState, mark_as_cancelled
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.rental_key import worker_key
from prefect_blocks.taken_over import is_taken_over

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.blocks.abstract import LoggerOrAdapter
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from octa_provider import OctaClient
    from octa_provider.job.state import JobState
    from prefect_blocks.flow_run_states import FlowRunStates
    from prefect_blocks.worker_configuration import OctaJobConfiguration

__all__ = ["FlowRunStarts", "InThread", "is_worker_leaving"]

T = TypeVar("T")


class InThread(Protocol):
    """Runs blocking work in a thread of anyio's, for a coroutine."""

    def __call__(self, work: Callable[[], T], /, *, waits: bool = False) -> Awaitable[T]:
        """Run it.

        Args:
            work: what to run.
            waits: it mostly waits, for as long as it may take: it has a thread beside those of all others.
        """


@dataclass(frozen=True)
class FlowRunStarts:
    """The starts of one flow run's machines, one after the other.

    Attributes:
        octa: the account's client; it stays open as long as this is used.
        prefect: Prefect's API.
        states: reads the states of all flow runs that the worker sees to.
        flow_run: whose machines they are.
        configuration: the flow run's job variables, prepared.
        logger: the flow run's.
        in_thread: runs blocking work; a worker that is shut down leaves it.
        worker_name: of the worker that starts them.
    """

    octa: OctaClient
    prefect: PrefectClient
    states: FlowRunStates
    flow_run: FlowRun
    configuration: OctaJobConfiguration
    logger: LoggerOrAdapter
    in_thread: InThread
    worker_name: str

    @property
    def private_key(self) -> str | Path | None:
        """The account's SSH key."""
        return ssh_key(self.configuration.account().private_key)

    async def first(self) -> JobState | None:
        """Rent a machine, or adopt the one that the flow run has; does not wait for it to come up.

        Returns:
            Its job; None when the flow run was cancelled meanwhile: then nothing is rented, and it is marked.

        Raises:
            OctaError: nothing could be rented.
        """
        spec = self.configuration.spec()
        if spec.over_ssh:
            check_key(self.private_key)
        wait_s = self.configuration.wait_for_machine_s
        start = partial(
            self.octa.jobs.start,
            spec,
            self._key,
            wait_for_machine_s=wait_s,
            on_waiting=partial(self.logger.info, "%s"),
        )
        state = await self._started(start, waits=wait_s > 0)
        if state is not None:
            self._tell_started(state)
        return state

    async def another(self, state: JobState) -> JobState | None:
        """Stop the machine, which never came up, and rent another one.

        Args:
            state: its job.

        Returns:
            The job on the other machine, or as it ended where there is none; None when the flow run was cancelled.

        Raises:
            OctaStopError: the first could not be stopped in time, and may still bill; nothing was rented.
            OctaError: nothing could be rented.
        """
        try:
            spec = self.configuration.spec()
        except OctaConfigError as error:
            # Its job variables were changed since it was rented: it must not wait, and bill, for ever.
            return state.having(start_attempts=1, message=f"{state.message}. No other machine: {error}")
        now = await self._started(partial(self.octa.jobs.start_elsewhere, state, spec))
        if now is None or now.rental.uuid == state.rental.uuid:
            return now
        left = next(one for one in now.tried if one.uuid == state.rental.uuid)
        bill = Bill(left.uuid, left.cost_wei, left.cost_usd, left.duration_s, None)
        self.tell("stopped", state, bill=bill, reason=left.message)
        self.logger.warning(
            "%s",
            f"Session {left.uuid} never came up, and was stopped ({left.message}): trying another machine, "
            f"{attempts_of(now.tried) + 1} of {now.start_attempts}",
        )
        self._tell_started(now)
        try:
            await self.prefect.update_flow_run(self.flow_run.id, infrastructure_pid=str(InfrastructurePid.of(now)))
        except (httpx.HTTPError, PrefectException) as error:
            # Whoever looks for it finds it by its rental key all the same.
            self.logger.warning("%s", f"Prefect can't be told now of session {now.rental.uuid}: {error}")
        return now

    def tell(self, happened: str, state: JobState, **payload: Any) -> None:
        """Emit an event of the machine's.

        Args:
            happened, payload: as in `emit`.
            state: its job.
        """
        emit(
            happened,
            Rental.of(state.rental, None),
            flow_run_id=self.flow_run.id,
            name=self.configuration.name,
            labels=self.configuration.labels,
            **payload,
        )

    def watch_state(self, on_over: Callable[[], object]) -> AbstractAsyncContextManager[SeenState]:
        """Have the flow run's state read again and again, for the length of the block: see `FlowRunStates.watch`.

        Args:
            on_over: called at each read that shows that it is over, or to be ended.
        """
        return self.states.watch(self.prefect, self.flow_run.id, self.configuration.poll_s, on_over)

    async def tell_cancelled(self, message: str = "Cancelled while its machine was being rented.") -> None:
        """Tell Prefect the end of a flow run that is being cancelled.

        Args:
            message: says how it ended.
        """
        await mark_as_cancelled(self.prefect, self.flow_run.id, message)

    def _tell_started(self, state: JobState) -> None:
        rental = Rental.of(state.rental, None)
        self.tell("adopted" if rental.adopted else "started", state)
        self.logger.info("Session %s, rental key %s", session_text(rental), rental.key)

    @property
    def _key(self) -> str:
        return worker_key(self.flow_run.id, self.flow_run.run_count)

    async def _started(self, start: Callable[..., JobState], *, waits: bool = False) -> JobState | None:
        """What a start comes to; None when the flow run was cancelled meanwhile."""
        given_up, has_machine = threading.Event(), threading.Event()
        work = partial(
            start,
            private_key=self.private_key,
            is_cancelled=given_up.is_set,
            # A worker that leaves asks no further machine, and does not wait on: the next one begins the flow run. A
            # machine that there is by then is left to it as at any other time.
            leaving=Leaving(lambda: not has_machine.is_set() and is_worker_leaving(), self._is_taken_over),
            on_started=lambda rental: has_machine.set(),
        )
        try:
            async with self.watch_state(given_up.set):
                return await self.in_thread(work, waits=waits)
        except OctaCancelledError:
            await self.tell_cancelled()
            return None

    def _is_taken_over(self, uuid: str) -> bool:
        ask = partial(is_taken_over, self.prefect, self.flow_run.id, self.worker_name)
        return anyio.from_thread.run(partial(ask, key=self._key, uuid=uuid, logger=self.logger))


def is_worker_leaving() -> bool:
    """In a thread of anyio's: whether the worker waits for it no more, since it is being shut down."""
    try:
        anyio.from_thread.check_cancelled()
    except asyncio.CancelledError:
        return True
    return False
