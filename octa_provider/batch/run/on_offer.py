"""What is on offer to a run of a batch; while no machine is, it waits, or leaves that to whoever runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from octa_provider.batch.folder.pause_note import PauseNote
from octa_provider.batch.run.left_machines import AWAY_S
from octa_provider.batch.run.machine_wait import MachineWait
from octa_provider.batch.run.market import Market
from octa_provider.batch.run.told import as_clause
from octa_provider.batch.run.waking import waited_s
from octa_provider.errors import OctaNoMachineError
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.batch.run.crew import Crew
    from octa_provider.batch.run.parts import BatchParts
    from octa_provider.batch.run.teller import Teller

__all__ = ["LeftWaiting", "OnOffer"]

#: The market is looked at for so long while machines render.
_MARKET_S = 20.0
T = TypeVar("T")


class LeftWaiting(Exception):
    """There is no machine yet, and whoever runs the batch looks for one meanwhile."""


class OnOffer:
    """The market of one run.

    Args:
        parts: of the batch.
        crew: its machines.
        teller: told that it waits.
        is_cancelled: asked again and again.
        pause_s: a wait of so many seconds is left to whoever runs the batch; None for never.

    Attributes:
        wait: for machines.
    """

    def __init__(
        self,
        parts: BatchParts,
        crew: Crew,
        teller: Teller,
        is_cancelled: Callable[[], bool],
        pause_s: float | None,
    ) -> None:
        self._parts = parts
        self._crew = crew
        self._is_cancelled = is_cancelled
        self._pause_s = pause_s

        def tell(reason: str) -> None:
            teller.tell("waiting", reason=reason)

        self._tell = tell
        self._teller = teller
        self.wait = self._new_wait()

    def goes_on(self, note: PauseNote) -> None:
        """What the batch has waited before it was paused counts.

        Args:
            note: what it was left with.
        """
        self.wait = self._new_wait(waited_s(note, self._parts.clock))

    def market(self) -> Market:
        """What is on offer at the beginning; an API that is away is asked again."""
        parts, away = self._parts, Deadline(self._parts.clock, AWAY_S)
        return ask_until(away, lambda: Market.of(parts.api.within(away, self._is_cancelled), parts.batch))

    def now(self) -> Market:
        """What is on offer while machines render, or while one is waited for."""
        if self.wait.is_on:
            return self.wait.look()
        api = self._parts.api.within(Deadline(self._parts.clock, _MARKET_S), self._is_cancelled)
        return Market.of(api, self._parts.batch)

    def take(self, step: Callable[[Market], T], *, has_machines: bool) -> T:
        """Take a step on what is on offer; while no machine is to be had, wait for one and take it again.

        Nothing has begun yet: it is not waited beyond the deadline, and nothing is rented that comes too late for it.

        Args:
            step: what is to be done.
            has_machines: whether machines of an earlier run are gone on with.

        Raises:
            LeftWaiting: whoever runs the batch waits.
            OctaNoMachineError: there is none; what was rented could not be used, or the wait is over.
        """
        within_s = self._parts.batch.finish_within_s
        self.wait.until(None if within_s is None or has_machines else self._teller.began_at + within_s)
        market = self.market()
        while True:
            used = self._crew.used
            try:
                if self.wait.is_in_vain:
                    raise OctaNoMachineError("no machine was on offer in time")
                return step(market)
            except OctaNoMachineError as error:
                if self._crew.used != used or has_machines:
                    raise
                if self._pause_s is not None and self.wait.left_s >= self._pause_s:
                    self.wait.goes_on(as_clause(error))
                    raise LeftWaiting(str(error)) from error
                market = self.wait.until_on_offer(error)

    def note(self, began_at: float) -> PauseNote:
        """What a batch leaves that has not begun, as it waits for its first machine.

        Args:
            began_at: when its first run began, on the clock of the parts.
        """
        clock = self._parts.clock
        now = clock.time()
        return PauseNote(
            fingerprint=self._parts.fingerprint,
            began_at=now - (clock.monotonic() - began_at),
            finish_at=0.0,
            wake_at=now + self.wait.left_s,
            cap_wei=None,
            failed={},
            machines=(),
            waited_s=self.wait.waited_s,
            is_planned=False,
            waits_since=now,
        )

    def _new_wait(self, waited: float = 0.0) -> MachineWait:
        wait = MachineWait(self._parts.api, self._parts.batch, self._is_cancelled, self._tell, waited)
        self._crew.on_rented = wait.ends
        return wait
