"""Look at the market until a machine fits, in a triggerer. Nothing is rented here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider.triggers.worker_threads import in_thread
from octa_provider.errors import OctaError, OctaNoMachineError
from octa_provider.timing.clock import Clock

if TYPE_CHECKING:
    from airflow_provider.triggers.account import Account
    from octa_provider import OctaClient
    from octa_provider.market.requirements import Requirements
    from octa_provider.models import Machine, VpnMachine

__all__ = ["REFUSED_S", "MarketWatch"]

#: A node that has just refused the task is left alone for so long: it may be full, and on offer all the same.
REFUSED_S = 60.0
#: One look may take so long.
_LOOK_S = 60.0


@dataclass(frozen=True)
class MarketWatch:
    """What is looked for, and until when.

    Attributes:
        service: the catalogue: `mr`, `render` or `vpn`.
        requirements: which machine.
        until: Unix time at which it is over.
        poll_interval: seconds between two looks, at least; all of an account share one request in that time.
        max_cost_usd: leaves out machines that this cap can't hold.
        refused: nodes that have just refused.
    """

    service: str
    requirements: Requirements
    until: float
    poll_interval: float
    max_cost_usd: float | None = None
    refused: Collection[int] = ()

    async def fitting(self, here: Account) -> tuple[Sequence[Machine | VpnMachine], str]:
        """The machines that fit, best first, once there are any; none, and why, when it is over.

        Args:
            here: the account.

        Raises:
            OctaError: the market can't be looked at.
        """
        from octa_provider.timing.asking import asked_pause, is_transient
        from octa_provider.timing.backoff import pause_s
        from octa_provider.timing.outage import outages

        # A wall clock that is set meanwhile neither ends the wait nor adds to it.
        now = Clock().steady_time
        refused_until = now() + REFUSED_S
        # Whoever defers has just looked.
        pause = self.poll_interval * random.uniform(0.5, 1.0)
        failures, why = 0, "no machine was seen"
        while True:
            await asyncio.sleep(max(0.0, min(pause, self.until - now())))
            pause = pause_s(self.poll_interval, 0, None, random.random())
            try:
                fitting = await in_thread(self._look, here.client)
                failures = 0
                wanted = [m for m in fitting if m.node_id not in self.refused or now() >= refused_until]
                if wanted:
                    return wanted, ""
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
                return (), why

    def _look(self, client: OctaClient) -> list[Machine | VpnMachine]:
        from octa_provider.rental.market_look import machines_that_fit
        from octa_provider.timing.deadline import Deadline

        octa = client.within(Deadline(client.clock, _LOOK_S))
        return [
            *machines_that_fit(
                octa,
                self.service,
                self.requirements,
                max_cost_usd=self.max_cost_usd,
                max_age_s=self.poll_interval,
            )
        ]
