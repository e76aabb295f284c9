"""What machines tell, put into the state of the batch; what follows from it at once is ordered here."""

from __future__ import annotations

from collections.abc import Callable

from octa_provider.batch.actions import Leave, Steal
from octa_provider.batch.frame_set import FrameSet
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
from octa_provider.batch.state import BatchState
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import is_transient

__all__ = ["Hearing"]

log = plain_logger("octa_provider.batch.run.hearing")

#: After a start that could not be asked for, none is for so long.
_PAUSE_S = 30.0
#: Failures that are the machine's, whatever it renders.
_MACHINES_OWN = {
    "no device": "it has no device to render with",
    "out of memory": "its memory is too small for the scene",
    "disk full": "its disk is full",
}


class Hearing:
    """Hears machines. Used in the coordinator's thread alone.

    Args:
        parts: of the batch.
        crew: the machines.
        state: what is so; it is changed here.
        places: the order of the frames.
        dispatch: gives machines their orders.
        teller: told what happens.
        errors: what renderers said before any whole frame came.
        processes: how many processes a node runs, told its node_id.

    Attributes:
        no_rent_before: until when nothing is rented, on the clock of the parts.
        refused_for_good: why the account can rent nothing any more; None while it can.
        last_reasons: why machines were given up, the last of each node.
        refused: nodes that could not be rented when they were last asked.
    """

    def __init__(
        self,
        parts: BatchParts,
        crew: Crew,
        state: BatchState,
        places: Places,
        dispatch: Dispatch,
        teller: Teller,
        errors: SceneErrors,
        processes: Callable[[int], int],
    ) -> None:
        self._parts = parts
        self._crew = crew
        self._state = state
        self._places = places
        self._dispatch = dispatch
        self._teller = teller
        self._errors = errors
        self._processes = processes
        self.no_rent_before = 0.0
        self.refused_for_good: Exception | None = None
        self.last_reasons: dict[int, str] = {}
        self.refused: set[int] = set()

    def _now(self) -> float:
        return self._parts.clock.monotonic()

    def hear(self, number: int, told: Told) -> None:
        """A machine has told something.

        Args:
            number: which machine.
            told: what.

        Raises:
            OctaSceneError: the scene can't be rendered.
            OctaError: this computer stands in the way.
        """
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
            self.refused.discard(node_id)
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
            self._state.heard(slot, self._now())
            self._came(number, slot, node_id, told)
        elif isinstance(told, Bad):
            self._state.heard(slot, self._now())
            self._bad(number, slot, node_id, told)
        elif isinstance(told, (Done, Broke)):
            # Of an order that has been followed by another one, it tells nothing.
            if self._dispatch.is_last_order(slot, told.number):
                self._ended(number, slot, node_id, told)
        elif isinstance(told, Skipped):
            self._skipped(slot, told)
        elif isinstance(told, Lost):
            self.release(slot, told.reason, failed=True)

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
            self.no_rent_before = self._now() + _PAUSE_S
            if not is_transient(told.error):
                # The account: those that run may finish the batch.
                self.refused_for_good = told.error
                self.no_rent_before = float("inf")
        self.last_reasons[node_id] = told.reason
        self.refused.add(node_id)
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
            self.release(slot, "its disk is full", failed=True)

    def _miss(self, slot: int, frame: int, why: str) -> None:
        """A try at a frame has failed; perhaps it was the last one."""
        place = self._places.place(frame)
        if place is None:
            return
        if place in self._state.done:
            # Another one has brought it: whoever has it yet is not to begin it again.
            self._state.found(place)
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
            self.begin(slot, worker.share)

    def _broke(self, number: int, slot: int, node_id: int, told: Broke) -> None:
        failure, worker = told.failure, self._state.workers[slot]
        if told.is_full:
            self.release(slot, _MACHINES_OWN["disk full"], failed=True)
            return
        if failure is not None and failure.kind in _MACHINES_OWN:
            self.release(slot, f"{_MACHINES_OWN[failure.kind]} ({failure.message})", failed=True)
            return
        if failure is not None and not self._parts.folder.accepted:
            self._errors.failed(node_id, failure.message)
        why = failure.message if failure is not None else "was not rendered, although the renderer said it was"
        first = told.frames[:1] if told.made == 0 or failure is not None else ()
        for frame in told.claimed or first:
            self._teller.tell("frame refused", frame=frame, number=number, node_id=node_id, reason=why)
            self._miss(slot, frame, why)
        if slot in self._state.workers and worker.share:
            self.begin(slot, worker.share)

    def _skipped(self, slot: int, told: Skipped) -> None:
        action = self._dispatch.answered(told.number)
        frames = self._places.places(told.frames)
        thief = self._state.workers.get(action.thief) if isinstance(action, Steal) else None
        if isinstance(action, Leave):
            self._state.left_alone(slot, frames)
        elif thief is not None and thief.is_idle and not thief.leaving and frames:
            self._state.stolen(slot, thief.slot, frames, self._now())
            nodes = (thief.machine.node_id, self._state.workers[slot].machine.node_id)
            log.info("node %s takes %s frames over from node %s", nodes[0], len(frames), nodes[1])
            self.begin(thief.slot, frames)
        else:
            # Whoever wanted them has gone meanwhile, or has something to do.
            self._state.given_back(slot, frames)

    def begin(self, slot: int, places: FrameSet) -> None:
        """Have a machine render frames.

        Args:
            slot: whose.
            places: of the frames.
        """
        node_id = self._state.workers[slot].machine.node_id
        self._dispatch.begin(slot, places, self._processes(node_id))

    def release(self, slot: int, reason: str, *, failed: bool) -> None:
        """Have a machine's session stopped: what it had is anybody's again.

        Args:
            slot: whose; nothing is done for one that was released.
            reason: why, as one clause.
            failed: whether it is a machine not to take again.
        """
        if slot not in self._state.workers:
            return
        if failed:
            self.last_reasons[self._state.workers[slot].machine.node_id] = reason
        self._dispatch.release(slot, reason)
        before = self._state.failed.copy() if failed else None
        self._state.ended(slot, self._now(), failed=failed)
        for place in self._state.failed if before is not None else ():
            if before is not None and place not in before:
                frame = self._places.number(place)
                with self._parts.lock:
                    self._parts.folder.give_up(frame, reason)
                self._teller.tell("frame given up", frame=frame, reason=reason)
