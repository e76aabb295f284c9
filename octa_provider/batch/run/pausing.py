"""When a batch can be left to its machines: nothing is to be decided for a while, and each knows what to render."""

from __future__ import annotations

import math

from octa_provider.batch.folder.pause_note import KeptOrder, PausedMachine
from octa_provider.batch.outlook import Outlook
from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.dispatch import Dispatch
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.told import Paused
from octa_provider.batch.state import BatchState
from octa_provider.errors import OctaConfigError
from octa_provider.timing.limits import checked_seconds

__all__ = ["Pausing", "checked_pause_s", "quiet_s"]

#: Nobody is left alone for longer: a machine that hangs is seen when somebody is back.
_LONGEST_S = 3600.0
#: Below, whoever waits would do nothing but come back.
_SHORTEST_S = 10.0
#: At most this share of the time until the first machine is expected to have rendered its share.
_SURE = 0.9
#: And so many times as long as a machine was seen at work: little tells little of what comes.
_OF_SEEN = 4.0
#: Of the time until the deadline: a machine that has become slow must be helped while there is time.
_OF_DEADLINE = 0.25
#: Whoever comes back needs so long until a machine is stopped.
_RETURN_S = 90.0
#: Machines say so soon what they could be left with; asked again after this.
_ANSWER_S = 60.0
_AGAIN_S = 30.0


def quiet_s(
    state: BatchState, now: float, *, has_deadline: bool, left_wei: int | None, left_s: float | None = None
) -> float:
    """For how many seconds nothing is to be decided; 0 where anything may be at once.

    Args:
        state: what is so.
        now: on the clock that the state's times are of, in seconds.
        has_deadline: whether somebody waits for it.
        left_wei: what is left to be spent, in wei; None for no cap.
        left_s: seconds that the machines may still run; None for no cap.
    """
    workers = state.workers.values()
    for worker in workers:
        is_at_work = worker.ready_at is not None and worker.race is None and worker.share and not worker.leaving
        # One that has shown nothing yet may have nothing to show.
        if not is_at_work or worker.rendered == 0 or worker.bad:
            return 0.0
    if not workers or state.racing:
        return 0.0
    look = Outlook(state, now)
    sure = min(_SURE, math.exp(-state.terms.sigmas * look.sigma()))
    limits = [_LONGEST_S, sure * min(look.ends_in_s(worker) for worker in workers)]
    limits += [_OF_SEEN * (now - worker.ready_at) for worker in workers if worker.ready_at is not None]
    if has_deadline:
        limits.append(_OF_DEADLINE * (look.target_at - now))
    wei_per_s = sum(worker.machine.price_wei for worker in workers) / 3600
    if left_wei is not None and wei_per_s > 0:
        limits.append(left_wei / wei_per_s - _RETURN_S)
    if left_s is not None:
        limits.append(left_s - _RETURN_S)
    return max(0.0, min(limits))


def checked_pause_s(pause_s: float | None) -> float | None:
    """A least pause that somebody asks for; OctaConfigError unless there can be such pauses.

    Args:
        pause_s: in seconds; None for no pauses.
    """
    if pause_s is None:
        return None
    seconds = checked_seconds("pause_s", pause_s, least_s=_SHORTEST_S)
    if seconds > _LONGEST_S:
        raise OctaConfigError(f"pause_s must be at most {_LONGEST_S:.0f} seconds, as no pause is longer")
    return seconds


class Pausing:
    """Leaves machines to themselves. Used in the coordinator's thread alone.

    Args:
        parts: of the batch.
        crew: the machines.
        state: what is so.
        dispatch: gives machines their orders.
        pause_s: a pause is at least so long; None for no pauses.
        max_cost_wei: no more than this in this run, in wei; None for no cap.

    Attributes:
        wake_after_s: seconds after which somebody is to be back.
        paid_for_s: seconds after which the machines will have cost or run all that they may; None for no cap.
    """

    def __init__(
        self,
        parts: BatchParts,
        crew: Crew,
        state: BatchState,
        dispatch: Dispatch,
        pause_s: float | None,
        max_cost_wei: int | None,
    ) -> None:
        self._parts = parts
        self._crew = crew
        self._state = state
        self._dispatch = dispatch
        self._pause_s = pause_s
        self._max_cost_wei = max_cost_wei
        self._round = 0
        self._asked_at = self._orders = -1.0
        self._not_before = 0.0
        #: By number, what each machine that was asked has said.
        self._kept: dict[int, KeptOrder | None] = {}
        self.wake_after_s = 0.0
        self.paid_for_s: float | None = None

    def is_ready(self) -> bool:
        """Whether all machines can be left now, each having handed over what it had; asks them when they seem so.

        Call it once a turn, after everything that was told was heard, and when nothing else is to be done.
        """
        now = self._parts.clock.monotonic()
        wake_after_s = self._quiet_s(now)
        if self._pause_s is None or wake_after_s < self._pause_s or now < self._not_before:
            self._asked_at = -1.0
            return False
        if self._asked_at < 0 or self._orders != self._dispatch.orders:
            self._ask(now)
            return False
        if any(kept is None for kept in self._kept.values()) or now - self._asked_at > _ANSWER_S:
            self._asked_at, self._not_before = -1.0, now + _AGAIN_S
            return False
        if len(self._kept) < len(self._state.workers):
            return False
        self.wake_after_s = wake_after_s
        left_wei, wei_per_s = self._left_wei(), self._crew.wei_per_s()
        ends = [] if left_wei is None or wei_per_s <= 0 else [left_wei / wei_per_s]
        ends += [] if self._crew.left_s is None else [self._crew.left_s]
        self.paid_for_s = max(0.0, min(ends)) if ends else None
        return True

    def is_without_machines(self, wait_s: float) -> bool:
        """Whether a batch that waits for a machine can be left: there is none, and nothing to lose.

        Args:
            wait_s: seconds that it may still wait.
        """
        if self._pause_s is None or self._crew.alive or wait_s < self._pause_s:
            return False
        self._kept.clear()
        self.wake_after_s, self.paid_for_s = wait_s, None
        return True

    def heard(self, number: int, told: Paused) -> None:
        """A machine has said what it could be left with.

        Args:
            number: which machine.
            told: what.
        """
        if told.number == self._round:
            self._kept[number] = told.order

    def machines(self) -> tuple[PausedMachine, ...]:
        """What each machine is left with."""
        now = self._parts.clock.monotonic()
        left: list[PausedMachine] = []
        for number, order in self._kept.items():
            thread = self._crew.thread(number)
            if order is not None and thread.rental is not None:
                left.append(PausedMachine(number, thread.rental.uuid, order, thread.spans(now)))
        return tuple(left)

    def _quiet_s(self, now: float) -> float:
        if self._dispatch.waits or self._crew.alive != len(self._state.workers):
            return 0.0
        return quiet_s(
            self._state,
            now,
            has_deadline=self._parts.batch.finish_within_s is not None,
            left_wei=self._left_wei(),
            left_s=self._crew.left_s,
        )

    def _left_wei(self) -> int | None:
        return None if self._max_cost_wei is None else self._max_cost_wei - self._crew.spent_wei()

    def _ask(self, now: float) -> None:
        self._round += 1
        self._kept.clear()
        self._asked_at, self._orders = now, self._dispatch.orders
        for slot in self._state.workers:
            self._dispatch.pause(slot, self._round)
