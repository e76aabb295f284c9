"""The coordinator: hears what machines tell, keeps the state of the batch, and has the scheduler's decisions done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from octa_provider.batch.actions import Action, Finish, Give, Leave, Race, Release, Rent, Steal
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.outlook import Outlook
from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.dispatch import Dispatch
from octa_provider.batch.run.hearing import Hearing
from octa_provider.batch.run.machine_wait import MachineWait
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.pausing import Pausing
from octa_provider.batch.run.places import Places
from octa_provider.batch.run.scene_errors import SceneErrors
from octa_provider.batch.run.spending import Spending
from octa_provider.batch.run.teller import Teller
from octa_provider.batch.run.told import Paused
from octa_provider.batch.shares import next_actions
from octa_provider.batch.state import BatchState
from octa_provider.errors import OctaCancelledError, OctaError
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.batch.estimate import MachineEstimate
    from octa_provider.batch.folder.pause_note import PausedMachine
    from octa_provider.rental.rental import Rental

__all__ = ["Coordinator"]

log = plain_logger("octa_provider.batch.run.coordinator")

#: The market is looked at again after so long, when the plan's machines are used up.
_LOOK_AGAIN_S = 60.0
#: Reasons that are told at the end.
_NAMED = 5


class Coordinator:
    """Runs a batch to its end. Everything is decided, and the state changed, in the thread that calls `run`.

    Args:
        parts: of the batch.
        crew: the machines.
        state: what is so.
        places: the order of the frames.
        teller: told what happens.
        errors: what renderers said before any whole frame came.
        max_cost_wei: no more than this in this run, in wei; None for no cap.
        processes: how many processes a node runs, told its node_id.
        offers: looks at the market again.
        is_cancelled: asked again and again.
        wait: for machines, while there is none.
        pause_s: end as paused where nothing is to be decided for so many seconds; None never does.
    """

    def __init__(
        self,
        parts: BatchParts,
        crew: Crew,
        state: BatchState,
        places: Places,
        teller: Teller,
        errors: SceneErrors,
        *,
        max_cost_wei: int | None,
        processes: Callable[[int], int],
        offers: Callable[[], Iterable[MachineEstimate]],
        is_cancelled: Callable[[], bool],
        wait: MachineWait,
        pause_s: float | None = None,
    ) -> None:
        self._offers = offers
        self._wait = wait
        self._offered_at = parts.clock.monotonic()
        self._parts = parts
        self._crew = crew
        self._state = state
        self._places = places
        self._teller = teller
        self._spending = Spending(parts, crew, max_cost_wei)
        self._is_cancelled = is_cancelled
        self._dispatch = Dispatch(crew, places)
        self._hearing = Hearing(parts, crew, state, places, self._dispatch, teller, errors, processes)

        self.pausing = Pausing(parts, crew, state, self._dispatch, pause_s, max_cost_wei)

    def take(self, estimate: MachineEstimate, number: int, *, is_ready: bool) -> None:
        """A machine that is rented already is one of the batch's.

        Args:
            estimate: what is expected of it.
            number: the machine's in the batch.
            is_ready: whether it has the scene.
        """
        now = self._now()
        rented_at = self._crew.thread(number).rented_at
        worker = self._state.rented(estimate, now if rented_at is None else rented_at)
        self._dispatch.seat(worker.slot, number)
        if is_ready:
            self._state.ready(worker.slot, now)

    def adopt(self, estimate: MachineEstimate, number: int, rental: Rental, left: PausedMachine | None = None) -> None:
        """Go on with a machine that an earlier coordinator has rented.

        Args:
            estimate: what is expected of it.
            number: the machine's in the batch.
            rental: its handle.
            left: what it was left to itself with; None where that is not known.
        """
        places = FrameSet()
        if left is not None:
            # Some may have come while the machine was being left.
            frames = tuple(n for n in left.order.frames if self._is_missing(n))
            left = replace(left, order=replace(left.order, frames=frames))
            places = self._places.places(frames)
        worker = self._state.rented(estimate, self._now())
        self._dispatch.seat(worker.slot, number)
        if left is None or not places:
            self._crew.start(estimate, number=number, rental=rental)
        else:
            self._state.goes_on(worker.slot, places, self._now(), left.spans.render_s)
            self._crew.start(estimate, number=number, rental=rental, kept=(left, self._dispatch.goes_on(worker.slot)))

    def run(self) -> str:
        """Render what is missing; returns `whole`, `incomplete`, `over budget` or `paused`, and machines may run.

        Raises:
            OctaSceneError: the scene can't be rendered.
            OctaBudgetError: the machines have run for as long as they may.
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: this computer's disk is full, the scene has changed, or nothing can be rented any more.
        """
        while True:
            for number, told in self._crew.hear(self._parts.pacing.poll_s):
                if isinstance(told, Paused):
                    self.pausing.heard(number, told)
                else:
                    self._hearing.hear(number, told)
            if self._is_cancelled():
                raise OctaCancelledError("the batch was cancelled")
            self._spending.refuse_too_long()
            if self._spending.is_at_its_end():
                return "over budget"
            actions = next_actions(self._state, self._now())
            if self._lacks_machines(actions) and self._look_at_market():
                actions = next_actions(self._state, self._now())
            for action in actions:
                if isinstance(action, Finish):
                    if not self._waits_for_machine(action):
                        return action.outcome
                    if self.pausing.is_without_machines(self._wait.left_s):
                        return "paused"
                    break
                self._do(action)
            refused = self._hearing.refused_for_good
            if refused is not None and not self._state.workers:
                raise refused
            self._tell_progress()
            if not actions and self.pausing.is_ready():
                return "paused"

    @property
    def why_missing(self) -> str:
        """Why machines were given up, the last reason of each node, as one clause; empty when none was."""
        reasons = self._hearing.last_reasons
        named = [f"node {node_id}: {reason}" for node_id, reason in list(reasons.items())[-_NAMED:]]
        return "; ".join(named)

    @property
    def useless(self) -> set[int]:
        """The nodes that were given up; one that could only not be rented is none."""
        return {*self._hearing.last_reasons} - self._hearing.refused

    def _lacks_machines(self, actions: list[Action]) -> bool:
        """Whether the plan's machines are used up, and frames are left that more could render."""
        if next(self._state.candidates(), None) is not None or self._state.left == 0:
            return False
        is_at_end = any(isinstance(action, Finish) and action.outcome == "incomplete" for action in actions)
        # Who waits looks now and then; who does not, once more before it ends.
        every_s = _LOOK_AGAIN_S if not is_at_end else self._wait.poll_s if self._wait.is_on else -1.0
        return self._now() - self._offered_at > every_s

    def _waits_for_machine(self, finish: Finish) -> bool:
        """Whether a batch that would end, for want of a machine, waits for one instead."""
        state = self._state
        if finish.outcome != "incomplete" or not state.left or self._hearing.refused_for_good is not None:
            return False
        if next(state.candidates(), None) is not None:
            # It is not for want of one: those that there are have tried what is left.
            return False
        if state.terms.max_failed_frames is not None and len(state.failed) > state.terms.max_failed_frames:
            return False
        # Those that are being stopped were of no use.
        return bool(self._wait.left_s) if self._crew.alive else self._wait.goes_on(self.why_missing or "none is left")

    def _look_at_market(self) -> bool:
        """Whether there are machines now that were not there before."""
        self._offered_at = self._now()
        for node_id in self._hearing.refused if self._wait.is_on else ():
            if self._wait.is_worth_asking(node_id):
                self._state.may_be_asked_again(node_id)
        try:
            self._state.offer(self._offers())
        except OctaError as error:
            log.warning("the market can't be looked at now: %s", error)
        return next(self._state.candidates(), None) is not None

    def _is_missing(self, frame: int) -> bool:
        place = self._places.place(frame)
        return place is not None and place not in self._state.done

    def _now(self) -> float:
        return self._parts.clock.monotonic()

    def _tell_progress(self) -> None:
        state = self._state
        look = Outlook(state, self._now())
        speed = sum(look.speed.values())
        self._teller.failed = len(state.failed)
        self._teller.rendering = sum(bool(w.share) or w.race is not None for w in state.workers.values())
        self._teller.left_s = look.work_left() / speed if speed > 0 else None
        self._teller.tell("progress")

    def _do(self, action: Action) -> None:
        if isinstance(action, Rent):
            self._rent(action)
        elif isinstance(action, Give):
            self._state.given(action.slot, action.frames, self._now())
            self._hearing.begin(action.slot, action.frames)
        elif isinstance(action, Steal):
            if not self._dispatch.is_waited_for(action.slot, action.thief):
                self._dispatch.skip(action)
        elif isinstance(action, Race):
            self._state.raced(action.slot, action.frame, self._now(), action.cost_wei)
            self._hearing.begin(action.slot, FrameSet([(action.frame, action.frame + 1)]))
        elif isinstance(action, Leave):
            if not action.frames:
                self._state.left_alone(action.slot, action.frames)
            elif not self._dispatch.is_waited_for(action.slot):
                self._dispatch.skip(action)
        elif isinstance(action, Release) and (action.failed or not self._dispatch.is_waited_for(action.slot)):
            self._hearing.release(action.slot, action.reason, failed=action.failed)

    def _rent(self, action: Rent) -> None:
        if self._now() < self._hearing.no_rent_before or self._crew.alive >= self._parts.batch.max_machines:
            # Those that are being stopped bill still.
            return
        number = self._crew.start(action.machine)
        self._dispatch.seat(self._state.rented(action.machine, self._now()).slot, number)
