"""The coordinator: hears what machines tell, keeps the state of the batch, and has the scheduler's decisions done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.batch.actions import Action, Finish, Give, Leave, Race, Release, Rent, Steal
from octa_provider.batch.frame_set import FrameSet
from octa_provider.batch.outlook import Outlook
from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.dispatch import Dispatch
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.places import Places
from octa_provider.batch.run.scene_errors import SceneErrors
from octa_provider.batch.run.teller import Teller
from octa_provider.batch.run.told import (
    Bad,
    Began,
    Broke,
    Came,
    Crashed,
    Done,
    Lost,
    Ready,
    Refused,
    Rented,
    Skipped,
    Stopped,
    Told,
)
from octa_provider.batch.shares import next_actions
from octa_provider.batch.state import BatchState
from octa_provider.errors import OctaCancelledError
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import is_transient

if TYPE_CHECKING:
    from octa_provider.batch.estimate import MachineEstimate
    from octa_provider.rental.rental import Rental

__all__ = ["Coordinator"]

log = plain_logger("octa_provider.batch.run.coordinator")

#: After a start that could not be asked for, none is for so long.
_PAUSE_S = 30.0
#: What a stop takes, for the money that it costs.
_STOPPING_S = 10.0
#: Failures that are the machine's, whatever it renders.
_MACHINES_OWN = {
    "no device": "it has no device to render with",
    "out of memory": "its memory is too small for the scene",
    "disk full": "its disk is full",
}


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
        processes: how many processes a node of that many GPUs runs, told its node_id.
        is_cancelled: asked again and again.
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
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._crew = crew
        self._state = state
        self._places = places
        self._teller = teller
        self._errors = errors
        self._max_cost_wei = max_cost_wei
        self._processes = processes
        self._is_cancelled = is_cancelled
        self._dispatch = Dispatch(crew, places)
        self._no_rent_before = 0.0
        self._refused_for_good: Exception | None = None

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

    def adopt(self, estimate: MachineEstimate, number: int, rental: Rental) -> None:
        """Go on with a machine that an earlier coordinator has rented.

        Args:
            estimate: what is expected of it.
            number: the machine's in the batch.
            rental: its handle.
        """
        self._crew.start(estimate, number=number, rental=rental)
        self.take(estimate, number, is_ready=False)

    def run(self) -> str:
        """Render what is missing; returns `whole`, `incomplete` or `over budget`. Machines may run at its end.

        Raises:
            SceneCannotRenderError: the scene can't be rendered.
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: this computer's disk is full, the scene has changed, or nothing can be rented any more.
        """
        while True:
            for number, told in self._crew.hear(self._parts.pacing.poll_s):
                self._hear(number, told)
            if self._is_cancelled():
                raise OctaCancelledError("the batch was cancelled")
            if self._is_spent():
                return "over budget"
            for action in next_actions(self._state, self._now()):
                if isinstance(action, Finish):
                    if action.outcome == "incomplete" and self._refused_for_good is not None:
                        raise self._refused_for_good
                    return action.outcome
                self._do(action)
            self._tell_progress()

    def _now(self) -> float:
        return self._parts.clock.monotonic()

    def _is_spent(self) -> bool:
        if self._max_cost_wei is None:
            return False
        soon_s = self._parts.pacing.poll_s + _STOPPING_S
        return self._crew.spent_wei() + int(self._crew.wei_per_s() * soon_s) >= self._max_cost_wei

    def _tell_progress(self) -> None:
        state = self._state
        look = Outlook(state, self._now())
        speed = sum(look.speed.values())
        self._teller.failed = len(state.failed)
        self._teller.rendering = sum(bool(w.share) or w.race is not None for w in state.workers.values())
        self._teller.left_s = look.work_left() / speed if speed > 0 else None
        self._teller.tell("progress")

    # What machines tell.

    def _hear(self, number: int, told: Told) -> None:
        slot = self._dispatch.slot(number)
        node_id = self._crew.thread(number).estimate.node_id
        if isinstance(told, Crashed):
            raise told.error
        if isinstance(told, Stopped):
            self._stopped(number, slot, node_id)
        elif slot not in self._state.workers:
            # It was given up meanwhile; what it has brought is in the folder all the same.
            if isinstance(told, Came):
                self._came_late(told)
        elif isinstance(told, Rented):
            thread = self._crew.thread(number)
            self._state.workers[slot].rented_at = thread.rented_at or self._now()
            self._teller.tell("machine rented", number=number, node_id=node_id, uuid=told.rental.uuid)
        elif isinstance(told, Refused):
            self._refused(slot, node_id, told)
        elif isinstance(told, Ready):
            self._state.ready(slot, self._now())
            self._teller.tell("machine ready", number=number, node_id=node_id)
        elif isinstance(told, Began):
            place = self._places.place(told.frame)
            worker = self._state.workers[slot]
            if place is not None and (place in worker.share or place == worker.race):
                self._state.began(slot, self._now())
        elif isinstance(told, Came):
            self._came(number, slot, node_id, told)
        elif isinstance(told, Bad):
            self._bad(number, slot, node_id, told)
        elif isinstance(told, (Done, Broke)):
            # Of an order that has been followed by another one, it tells nothing.
            if self._dispatch.is_last_order(slot, told.number):
                self._ended(number, slot, node_id, told)
        elif isinstance(told, Skipped):
            self._skipped(slot, told)
        elif isinstance(told, Lost):
            self._release(slot, told.reason, failed=True)

    def _stopped(self, number: int, slot: int, node_id: int) -> None:
        thread = self._crew.thread(number)
        if slot in self._state.workers:
            self._state.ended(slot, self._now(), failed=True)
        if thread.rental is not None:
            self._teller.tell(
                "machine ended", number=number, node_id=node_id, uuid=thread.rental.uuid, reason=thread.why
            )

    def _refused(self, slot: int, node_id: int, told: Refused) -> None:
        # It has cost nothing.
        self._state.workers[slot].rented_at = self._now()
        self._state.ended(slot, self._now(), failed=told.is_gone)
        if not told.is_gone:
            self._no_rent_before = self._now() + _PAUSE_S
            if not is_transient(told.error):
                # The account: those that run may finish the batch.
                self._refused_for_good = told.error
                self._no_rent_before = float("inf")
        self._teller.tell("machine refused", node_id=node_id, reason=told.reason)

    def _came(self, number: int, slot: int, node_id: int, told: Came) -> None:
        place = self._places.place(told.frame)
        if place is None:
            return
        rivals = self._state.racing.get(place, ())
        is_first_of_machine = self._state.workers[slot].rendered == 0
        self._state.rendered(slot, place, None if is_first_of_machine else told.seconds)
        for other in rivals:
            if other != slot:
                self._dispatch.drop(other, told.frame)
        if told.is_accepted:
            self._teller.tell("frame accepted", frame=told.frame, number=number, node_id=node_id)

    def _came_late(self, told: Came) -> None:
        place = self._places.place(told.frame)
        if place is not None and told.is_accepted:
            self._state.found(place)

    def _bad(self, number: int, slot: int, node_id: int, told: Bad) -> None:
        self._teller.tell("frame refused", frame=told.frame, number=number, node_id=node_id, reason=told.flaw)
        self._miss(slot, told.frame, told.flaw)
        if told.is_full:
            self._release(slot, "its disk is full", failed=True)

    def _miss(self, slot: int, frame: int, why: str) -> None:
        """A try at a frame has failed; perhaps it was the last one."""
        place = self._places.place(frame)
        if place is None or place in self._state.done:
            return
        self._state.refused_picture(slot, place)
        if place in self._state.failed:
            with self._parts.lock:
                self._parts.folder.give_up(frame, why)
            self._teller.tell("frame given up", frame=frame, reason=why)

    def _ended(self, number: int, slot: int, node_id: int, told: Done | Broke) -> None:
        if isinstance(told, Broke):
            self._broke(number, slot, node_id, told)
            return
        worker = self._state.workers[slot]
        if worker.race is not None:
            # It was dropped: the other one was quicker.
            self._state.race_dropped(slot)
        if worker.share:
            # Frames that the order did not have.
            self._begin(slot, worker.share)

    def _broke(self, number: int, slot: int, node_id: int, told: Broke) -> None:
        failure, worker = told.failure, self._state.workers[slot]
        if told.is_full:
            self._release(slot, _MACHINES_OWN["disk full"], failed=True)
            return
        if failure is not None and failure.kind in _MACHINES_OWN:
            self._release(slot, f"{_MACHINES_OWN[failure.kind]} ({failure.message})", failed=True)
            return
        if failure is not None and not self._parts.folder.accepted:
            self._errors.failed(node_id, failure.message)
        if told.made == 0 or failure is not None:
            frame = told.frames[0]
            why = failure.message if failure is not None else "was not rendered, although the renderer said it was"
            self._teller.tell("frame refused", frame=frame, number=number, node_id=node_id, reason=why)
            self._miss(slot, frame, why)
        if slot in self._state.workers and worker.share:
            self._begin(slot, worker.share)

    def _skipped(self, slot: int, told: Skipped) -> None:
        action = self._dispatch.answered(told.number)
        frames = self._places.places(told.frames)
        if isinstance(action, Leave):
            self._state.left_alone(slot, frames)
        elif isinstance(action, Steal) and frames:
            thief = self._state.workers.get(action.thief)
            if thief is not None and thief.is_idle and not thief.leaving:
                self._state.stolen(slot, action.thief, frames, self._now())
                self._begin(action.thief, frames)
            else:
                self._state.given_back(slot, frames)

    # What is decided.

    def _do(self, action: Action) -> None:
        if isinstance(action, Rent):
            self._rent(action)
        elif isinstance(action, Give):
            self._state.given(action.slot, action.frames, self._now())
            self._begin(action.slot, action.frames)
        elif isinstance(action, Steal):
            if not self._dispatch.is_waited_for(action.slot, action.thief):
                self._dispatch.skip(action)
        elif isinstance(action, Race):
            self._state.raced(action.slot, action.frame, self._now(), action.cost_wei)
            self._begin(action.slot, FrameSet([(action.frame, action.frame + 1)]))
        elif isinstance(action, Leave):
            if not action.frames:
                self._state.left_alone(action.slot, action.frames)
            elif not self._dispatch.is_waited_for(action.slot):
                self._dispatch.skip(action)
        elif isinstance(action, Release) and (action.failed or not self._dispatch.is_waited_for(action.slot)):
            self._release(action.slot, action.reason, failed=action.failed)

    def _rent(self, action: Rent) -> None:
        if self._now() < self._no_rent_before or self._crew.alive >= self._parts.batch.max_machines:
            # Those that are being stopped bill still.
            return
        number = self._crew.start(action.machine)
        self._dispatch.seat(self._state.rented(action.machine, self._now()).slot, number)

    def _begin(self, slot: int, places: FrameSet) -> None:
        node_id = self._state.workers[slot].machine.node_id
        self._dispatch.begin(slot, places, self._processes(node_id))

    def _release(self, slot: int, reason: str, *, failed: bool) -> None:
        if slot not in self._state.workers:
            return
        self._dispatch.release(slot, reason)
        before = self._state.failed.copy() if failed else None
        self._state.ended(slot, self._now(), failed=failed)
        for place in self._state.failed if before is not None else ():
            if before is not None and place not in before:
                frame = self._places.number(place)
                with self._parts.lock:
                    self._parts.folder.give_up(frame, reason)
                self._teller.tell("frame given up", frame=frame, reason=reason)
