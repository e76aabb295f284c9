"""A batch that waits for a machine: while it has none, the market is looked at now and then, as long as it may."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.batch.run.market import Market
from octa_provider.batch.run.told import as_clause
from octa_provider.errors import OctaCancelledError, OctaError, OctaNoMachineError
from octa_provider.market.node_memory import nodes_of
from octa_provider.rental.machine_wait import FIRST_PAUSE, MACHINE_POLL_S, SLICE_S, machine_poll_s, too_late
from octa_provider.text.quantities import shown_duration
from octa_provider.timing.asking import asked_pause, is_transient
from octa_provider.timing.backoff import pause_s
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.outage import outages

if TYPE_CHECKING:
    from octa_provider.batch.batch import Batch
    from octa_provider.rental.rental_api import RentalApi

__all__ = ["MachineWait"]

#: One look may take so long.
_LOOK_S = 60.0


class MachineWait:
    """How long a batch has waited, and may still wait, for a machine: only while none of its own is there.

    Args:
        api: the API.
        batch: what is to be rendered; it says how long.
        is_cancelled: asked again and again.
        tell: told a clause each time that it begins to wait, or goes on.
        waited_s: seconds that the same batch has waited before it was paused.
    """

    def __init__(
        self,
        api: RentalApi,
        batch: Batch,
        is_cancelled: Callable[[], bool],
        tell: Callable[[str], object],
        waited_s: float = 0.0,
    ) -> None:
        self._api = api
        self._batch = batch
        self._is_cancelled = is_cancelled
        self._tell = tell
        self._waited_s = waited_s
        self._since: float | None = None
        self._not_after: float | None = None
        #: Seconds between two looks, at least.
        self.poll_s = machine_poll_s(batch.wait_for_machine_s, MACHINE_POLL_S)

    @property
    def is_on(self) -> bool:
        """Whether it waits now."""
        return self._since is not None

    @property
    def waited_s(self) -> float:
        """Seconds that were waited, in all."""
        now = self._api.clock.monotonic()
        return self._waited_s + (0.0 if self._since is None else now - self._since)

    @property
    def left_s(self) -> float:
        """Seconds that may still be waited."""
        left_s = self._batch.wait_for_machine_s - self.waited_s
        if self._not_after is not None:
            left_s = min(left_s, self._not_after - self._api.clock.monotonic())
        return max(0.0, left_s)

    @property
    def is_in_vain(self) -> bool:
        """Whether it was waited until a batch that has not begun could no longer be done in time."""
        return self._not_after is not None and self._api.clock.monotonic() >= self._not_after and self.waited_s > 0

    def until(self, not_after: float | None) -> None:
        """It is not waited beyond a time.

        Args:
            not_after: on the clock of the API; None for no such time.
        """
        self._not_after = not_after

    def goes_on(self, why: str) -> bool:
        """Whether it is waited, from now on where it was not yet.

        Args:
            why: there is no machine, as one clause.
        """
        if not self.left_s:
            return False
        if self._since is None:
            self._since = self._api.clock.monotonic()
            self._tell(f"up to {shown_duration(self.left_s)}: {why}")
        return True

    def ends(self) -> None:
        """A machine was rented."""
        if self._since is not None:
            waited_s = self._api.clock.monotonic() - self._since
            self._waited_s, self._since = self.waited_s, None
            self._tell(f"over after {shown_duration(waited_s)}")

    def too_late(self, last: OctaNoMachineError) -> OctaNoMachineError:
        """The error for a wait that is over, or that nobody asked for.

        Args:
            last: why there was no machine at the last look; it is this error that is given back.
        """
        if not self._batch.wait_for_machine_s:
            return last
        error = too_late(last, self.waited_s)
        if self.is_in_vain:
            error.also(f"The deadline has passed meanwhile (finish_within_s={self._batch.finish_within_s:g})")
        return error

    def until_on_offer(self, last: OctaNoMachineError) -> Market:
        """Wait until a machine fits that has not just refused.

        Args:
            last: why there is none now.

        Raises:
            OctaNoMachineError: the wait is over; it says how long it was.
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: the API refused the key.
        """
        pause, failures = self.poll_s * random.uniform(*FIRST_PAUSE), 0
        while self.goes_on(as_clause(last)):
            self._pause(min(pause, self.left_s))
            try:
                market = self.look()
                failures, pause = 0, pause_s(self.poll_s, 0, None, random.random())
                fitting = market.by_worth()
                if any(self.is_worth_asking(machine.node_id) for machine in fitting):
                    return market
                last = OctaNoMachineError(f"no machine has room: {len(fitting)} that fit have just refused")
            except OctaNoMachineError as error:
                last = error
            except OctaError as error:
                if not is_transient(error):
                    raise
                failures += 1
                outages.failed(error, self._api.clock, "a batch waits for a machine")
                pause = pause_s(self.poll_s, failures, asked_pause(error), random.random())
        raise self.too_late(last)

    def is_worth_asking(self, node_id: int) -> bool:
        """Whether a node has not just refused: it may be full, and on offer all the same.

        Args:
            node_id: the node.
        """
        clock = self._api.clock
        return nodes_of(self._api.account, clock).is_worth_asking(node_id, clock.monotonic())

    def look(self) -> Market:
        """The market, by what all that wait in this process have seen."""
        api = self._api.within(Deadline(self._api.clock, _LOOK_S), self._is_cancelled)
        return Market.of(api, self._batch, max_age_s=self.poll_s, is_cancelled=self._is_cancelled)

    def _pause(self, seconds: float) -> None:
        until = Deadline(self._api.clock, seconds)
        while not until.passed:
            if self._is_cancelled():
                raise OctaCancelledError("the batch was cancelled")
            until.pause(SLICE_S)
