"""Wait until a machine is on offer, without a worker slot. Nothing is rented here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.triggers.account import account, settings_in_trigger
from airflow_provider.triggers.resume_pace import until_task_may_resume
from airflow_provider.triggers.shown_event import ShownEvent
from airflow_provider.triggers.worker_threads import in_thread
from octa_provider.errors import OctaError, OctaNoMachineError
from octa_provider.market.requirements import Requirements
from octa_provider.rental.json_values import machine_json
from octa_provider.text.carried import carried
from octa_provider.timing.clock import Clock

if TYPE_CHECKING:
    from octa_provider import OctaClient
    from octa_provider.models import Machine, VpnMachine

__all__ = ["OctaMachineTrigger"]

#: A node that has just refused the task is left alone for so long: it may be full, and on offer all the same.
REFUSED_S = 60.0
#: One look may take so long.
_LOOK_S = 60.0


class OctaMachineTrigger(BaseTrigger):
    """Waits for a machine on offer; all of an account cost one catalogue call per interval in a triggerer.

    Args:
        octa_conn_id: the connection.
        service: the catalogue: `mr`, `render` or `vpn`.
        requirements: which machine, as a mapping of `Requirements`.
        began_at: Unix time at which the wait began, for who waits.
        until: Unix time at which the wait is over.
        poll_interval: seconds between two looks, at least.
        max_cost_usd: leaves out machines that this cap can't hold.
        refused: nodes that have just refused.
        namespace: the one of the rental key's client.

    Yields one event, a dict with `what`, `began_at` and `until`:
        `machine`: one fits (`machine` says which, as `OctaMachinesOperator` does; None for a VPN).
        `no machine`: the wait is over (`message` says why none fits).
        `unseen`: the market can't be looked at from here (`message` says why).
    """

    def __init__(
        self,
        *,
        octa_conn_id: str,
        service: str,
        requirements: Mapping[str, Any],
        began_at: float,
        until: float,
        poll_interval: float,
        max_cost_usd: float | None = None,
        refused: Collection[int] = (),
        namespace: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.octa_conn_id = octa_conn_id
        self.service = service
        self.requirements = dict(requirements)
        self.began_at = began_at
        self.until = until
        self.poll_interval = poll_interval
        self.max_cost_usd = max_cost_usd
        self.refused = list(refused)
        self.namespace = namespace

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow stores to make this trigger anew anywhere: the wait goes on, and ends when it would have."""
        return (
            "airflow_provider.triggers.machine.OctaMachineTrigger",
            {
                "octa_conn_id": self.octa_conn_id,
                "service": self.service,
                "requirements": self.requirements,
                "began_at": self.began_at,
                "until": self.until,
                "poll_interval": self.poll_interval,
                "max_cost_usd": self.max_cost_usd,
                "refused": self.refused,
                "namespace": self.namespace,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for its one event."""
        begun = time.monotonic()
        try:
            event = await self._wait()
        except Exception as error:  # noqa: BLE001 - a worker may reach what can't be reached from here
            event = {"what": "unseen", "message": f"{type(error).__name__}: {error}"}
        await until_task_may_resume(self, begun)
        yield ShownEvent(payload=carried({"began_at": self.began_at, "until": self.until} | event))

    async def _wait(self) -> dict[str, Any]:
        from octa_provider.timing.asking import asked_pause, is_transient
        from octa_provider.timing.backoff import pause_s
        from octa_provider.timing.outage import outages

        settings = await settings_in_trigger(self.octa_conn_id, self.namespace)
        requirements = Requirements.from_mapping(self.requirements)
        # A wall clock that is set meanwhile neither ends the wait nor adds to it.
        now = Clock().steady_time
        refused_until = now() + REFUSED_S
        with account(settings, self.poll_interval) as here:
            # Whoever defers has just looked.
            pause = self.poll_interval * random.uniform(0.5, 1.0)
            failures, why = 0, "no machine was seen"
            while True:
                await asyncio.sleep(max(0.0, min(pause, self.until - now())))
                pause = pause_s(self.poll_interval, 0, None, random.random())
                try:
                    fitting = await in_thread(self._look, here.client, requirements)
                    failures = 0
                    wanted = [m for m in fitting if m.node_id not in self.refused or now() >= refused_until]
                    if wanted:
                        is_vpn = self.service == "vpn"
                        return {"what": "machine", "machine": None if is_vpn else machine_json(wanted[0])}  # type: ignore[arg-type]
                    why = f"{len(fitting)} that fit have just refused"
                except OctaNoMachineError as error:
                    why, failures = str(error), 0
                except OctaError as error:
                    if not is_transient(error):
                        raise
                    outages.failed(error, here.client.clock, "a machine is waited for")
                    failures += 1
                    pause = pause_s(self.poll_interval, failures, asked_pause(error), random.random())
                    why = str(error)
                if now() >= self.until:
                    return {"what": "no machine", "message": why}

    def _look(self, client: OctaClient, requirements: Requirements) -> list[Machine | VpnMachine]:
        from octa_provider.rental.market_look import machines_that_fit
        from octa_provider.timing.deadline import Deadline

        octa = client.within(Deadline(client.clock, _LOOK_S))
        return [
            *machines_that_fit(
                octa,
                self.service,
                requirements,
                max_cost_usd=self.max_cost_usd,
                max_age_s=self.poll_interval,
            )
        ]
