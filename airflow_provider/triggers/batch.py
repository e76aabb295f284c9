"""Watch the machines of a batch without a worker slot, while they have work and nothing is to be decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.triggers.account import Account, account, settings_in_trigger
from airflow_provider.triggers.batch_hand_over import stop_sessions, watch_batch_until_taken_over
from airflow_provider.triggers.hand_over import TAKE_OVER_S
from airflow_provider.triggers.killed_by_user import TELLS_KILLS, is_task_over
from airflow_provider.triggers.market_watch import REFUSED_S, MarketWatch
from airflow_provider.triggers.resume_pace import until_task_may_resume
from airflow_provider.triggers.shown_event import ShownEvent
from airflow_provider.triggers.worker_threads import in_thread, to_the_end
from octa_provider.errors import OctaError, OctaSessionFailedError, OctaWaitTimeoutError
from octa_provider.market.requirements import Requirements
from octa_provider.text.carried import carried
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.clock import Clock

if TYPE_CHECKING:
    from airflow_provider.connection_settings import ConnectionSettings

__all__ = ["OctaBatchTrigger"]

log = plain_logger(__name__)

#: Airflow gives `on_kill` of a trigger 30 s.
_KILL_S = 25.0
_STOP_S = 120.0
#: What a stop takes, for the money that it costs.
_STOPPING_S = 30.0


class OctaBatchTrigger(BaseTrigger):
    """Waits until a batch needs a worker; starts nothing, so that running twice does no harm.

    Args:
        octa_conn_id: the connection.
        sessions: the machines that render, by their sessions' uuids.
        wake_at: Unix time at which a worker has to look after the batch, at the latest.
        paid_until: Unix time at which the machines will have cost all that they may; None without a cap.
        deadline_at: Unix time at which the task's `execution_timeout` is over; None without one.
        poll_interval: seconds between two looks, at least.
        namespace: the one of the rental key's client.
        carried_on: what the worker wants to be told when it comes back, as it is.
        requirements: which machine is waited for while there is none, as a mapping of `Requirements`; None for none.

    Yields one event, a dict with `what` and what was carried on:
        `due`: the time has come. `machine`: one is on offer that fits. `gone`: a session has ended (`uuid`).
        `deadline`: all were stopped at `deadline_at`.
        `unwatched`: they run, and can't be watched from here (`message` says why).
    """

    def __init__(
        self,
        *,
        octa_conn_id: str,
        sessions: Sequence[str],
        wake_at: float,
        paid_until: float | None = None,
        deadline_at: float | None = None,
        poll_interval: float = 5.0,
        namespace: str | None = None,
        carried_on: Mapping[str, Any] | None = None,
        requirements: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.octa_conn_id = octa_conn_id
        self.sessions = list(sessions)
        self.wake_at = wake_at
        self.paid_until = paid_until
        self.deadline_at = deadline_at
        self.poll_interval = poll_interval
        self.namespace = namespace
        self.carried_on = dict(carried_on or {})
        self.requirements = None if requirements is None else dict(requirements)
        self._settings: ConnectionSettings | None = None
        self._clock = Clock()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow stores, encrypted, to make this trigger anew anywhere."""
        return (
            "airflow_provider.triggers.batch.OctaBatchTrigger",
            {
                "octa_conn_id": self.octa_conn_id,
                "sessions": self.sessions,
                "wake_at": self.wake_at,
                "paid_until": self.paid_until,
                "deadline_at": self.deadline_at,
                "poll_interval": self.poll_interval,
                "namespace": self.namespace,
                "carried_on": self.carried_on,
                "requirements": self.requirements,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until there is something to do for a worker."""
        begun = time.monotonic()
        try:
            try:
                event = await self._watch()
            except Exception as error:  # noqa: BLE001 - a trigger that raises leaves its machines billing
                self.log.error("The batch can't be watched: %s: %s", type(error).__name__, error)
                event = {"what": "unwatched", "message": f"{type(error).__name__}: {error}"}
            await until_task_may_resume(self, begun)
        except asyncio.CancelledError:
            if not TELLS_KILLS:
                await to_the_end(self._stop_if_killed())
            raise
        if event["what"] != "deadline" and self._settings is not None and self.sessions:
            # Until a worker runs the task: it may wait for its slot for days, and these machines bill.
            ends = [TAKE_OVER_S]
            ends += [] if self.deadline_at is None else [self._left_s(self.deadline_at)]
            ends += [] if self.paid_until is None else [self._left_s(self.paid_until - _STOPPING_S)]
            watch_batch_until_taken_over(
                self.task_instance,
                self._settings,
                self.sessions,
                stop_at=time.time() + min(ends),
            )
        yield ShownEvent(payload=carried({"carried_on": self.carried_on} | event))

    async def on_kill(self) -> None:
        """A user ended the task (Airflow 3.3 and newer)."""
        await to_the_end(self._stop_if_killed())

    async def _watch(self) -> dict[str, Any]:
        try:
            settings = self._settings = await settings_in_trigger(self.octa_conn_id, self.namespace)
        except Exception as error:  # noqa: BLE001 - nothing is wrong with the batch: a worker may reach its connection
            return {"what": "unwatched", "message": f"{type(error).__name__}: {error}"}
        until = self.wake_at if self.deadline_at is None else min(self.wake_at, self.deadline_at)
        if self.requirements is not None:
            return await self._machine(settings, until)
        with account(settings, self.poll_interval) as here:
            self.log.info("%d machines render; a worker comes back when they need one", len(self.sessions))
            gone = await _first_gone(here, self.sessions, self._left_s(until))
            if gone is not None:
                return {"what": "gone", "uuid": gone}
            if self.deadline_at is None or self._left_s(self.deadline_at) > 0.0:
                return {"what": "due"}
            try:
                await in_thread(stop_sessions, settings, self.sessions, _STOP_S)
            except OctaError as error:
                # The worker that comes back stops them, or says which may bill.
                self.log.error("%s", error)
            return {"what": "deadline"}

    async def _machine(self, settings: ConnectionSettings, until: float) -> dict[str, Any]:
        """Wait for a machine that fits."""
        # Of those that fit some may have just refused the worker, which is not to come back for them at once.
        interval = max(self.poll_interval, REFUSED_S)
        watch = MarketWatch("mr", Requirements.from_mapping(self.requirements or {}), until, interval)
        with account(settings, interval) as here:
            self.log.info("No machine of the batch is there; a worker comes back when one is on offer")
            fitting, why = await watch.fitting(here)
        if fitting:
            return {"what": "machine"}
        return {
            "what": "due" if self.deadline_at is None or self._left_s(self.deadline_at) > 0.0 else "deadline",
            "why": why,
        }

    def _left_s(self, until: float) -> float:
        """Seconds until a Unix time; a wall clock that is set while this runs changes nothing of it."""
        return max(0.0, until - self._clock.steady_time())

    async def _stop_if_killed(self) -> None:
        # A worker that has been given the task again, or another try, has found them, and uses them.
        if not await is_task_over(self, resumed_is_over=False, next_try_takes_over=True):
            return
        settings = self._settings or await settings_in_trigger(self.octa_conn_id, self.namespace)
        self.log.warning("The task was ended by a user: stopping %d machines of its batch", len(self.sessions))
        try:
            await in_thread(stop_sessions, settings, self.sessions, _KILL_S)
        except OctaError as error:
            self.log.error("%s", error)


async def _first_gone(here: Account, uuids: Collection[str], within_s: float) -> str | None:
    """Wait for the first of these sessions to end; None when none has in that time.

    Raises:
        OctaError: they can't be watched.
    """
    waits = {asyncio.ensure_future(here.watcher.wait_async(one, _never, within_s + 60.0)): one for one in uuids}
    try:
        if not waits:
            await asyncio.sleep(within_s)
            return None
        done, _ = await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in done:
            with suppress(OctaWaitTimeoutError, OctaSessionFailedError):
                wait.result()
            return waits[wait]
        return None
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _never(session: object) -> bool:
    """As long as a session runs there is nothing to tell of it."""
    return False
