"""Wait until a session is ready, without a worker slot."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.session_reference import SessionReference
from airflow_provider.triggers.account import account, settings_in_trigger
from airflow_provider.triggers.hand_over import TAKE_OVER_S, watch_until_taken_over
from airflow_provider.triggers.resume_pace import until_task_may_resume
from airflow_provider.triggers.shown_event import ShownEvent
from airflow_provider.triggers.worker_threads import in_thread
from octa_provider.errors import OctaBudgetError, OctaError, OctaSessionFailedError
from octa_provider.rental.json_values import rental_json
from octa_provider.text.carried import carried
from octa_provider.timing.limits import MAX_WAIT_S

if TYPE_CHECKING:
    from airflow_provider.connection_settings import ConnectionSettings
    from octa_provider import Rental

__all__ = ["OctaSessionReadyTrigger"]


class OctaSessionReadyTrigger(BaseTrigger):
    """Waits for one session; a thousand of these cost one list call per interval.

    Args:
        octa_conn_id: the connection.
        session: the start operator's output, or `{"uuid": ...}`.
        deadline_at: Unix time from which it is too late; then the session is stopped.
        poll_interval: seconds between two list calls, at least.
        namespace: the one of the rental key's client; None for what was deferred before there were any.

    Yields one event, a dict with `uuid` and `what`: `ready` (with `session`, as the sensor returns it), `failed`
    (ended, or stopped at a cap), `late` (stopped), `unwatched` (Airflow does not tell the connection here) or
    `broken` (with `message`).
    """

    def __init__(
        self,
        *,
        octa_conn_id: str,
        session: Mapping[str, Any],
        deadline_at: float,
        poll_interval: float = 5.0,
        namespace: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.octa_conn_id = octa_conn_id
        self.session = dict(session)
        self.deadline_at = deadline_at
        self.poll_interval = poll_interval
        self.namespace = namespace
        self._settings: ConnectionSettings | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow stores to make this trigger anew anywhere."""
        return (
            "airflow_provider.triggers.session.OctaSessionReadyTrigger",
            {
                "octa_conn_id": self.octa_conn_id,
                "session": self.session,
                "deadline_at": self.deadline_at,
                "poll_interval": self.poll_interval,
                "namespace": self.namespace,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for its one event."""
        begun = time.monotonic()
        try:
            event = await self._wait()
        except (OctaSessionFailedError, OctaBudgetError) as error:
            # In either case it has been stopped, and another look would see the same.
            event = {"what": "failed", "message": str(error)}
        except Exception as error:  # noqa: BLE001 - a trigger that raises leaves its session billing
            event = {"what": "broken", "message": f"{type(error).__name__}: {error}"}
        await until_task_may_resume(self, begun)
        if event["what"] == "ready" and self._settings is not None:
            watch_until_taken_over(
                self.task_instance,
                self._settings,
                event["session"],
                stop_at=max(self.deadline_at, time.time() + TAKE_OVER_S),
                # The session is that of the task that started it.
                stops_on_kill=False,
                poll_s=self.poll_interval,
            )
        yield ShownEvent(payload=carried({"uuid": self.session.get("uuid")} | event))

    async def _wait(self) -> dict[str, Any]:
        from octa_provider.watch.ready import wait_until_ready_async

        reference = SessionReference.from_argument(self.session)
        if reference is None:
            return {"what": "failed", "message": "no session was started, so there is nothing to wait for"}
        try:
            settings = self._settings = await settings_in_trigger(self.octa_conn_id, self.namespace)
        except Exception as error:  # noqa: BLE001 - nothing is wrong with the session: a worker may reach its connection
            return {"what": "unwatched", "message": f"{type(error).__name__}: {error}"}
        with account(settings, self.poll_interval) as here:
            rental = reference.rental(here.client)
            left_s = min(max(0.0, self.deadline_at - time.time()), MAX_WAIT_S)
            session = await wait_until_ready_async(here.watcher, rental, left_s, in_thread)
            if session is None:
                return await self._give_up(rental)
            return {"what": "ready", "at": time.time(), "session": rental_json(rental, session)}

    async def _give_up(self, rental: Rental) -> dict[str, Any]:
        message = f"session {rental.uuid} was not ready in time"
        try:
            await in_thread(rental.stop)
        except OctaError as error:
            from octa_provider.rental.stop import may_bill_text

            self.log.error("%s\n%s", may_bill_text(rental.uuid), error)
            return {"what": "late", "message": f"{message}, and could not be stopped: {error}"}
        self.log.warning("Stopped session %s: it was not ready in time.", rental.uuid)
        return {"what": "late", "message": f"{message}; it was stopped"}
