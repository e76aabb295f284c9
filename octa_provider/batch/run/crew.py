"""The machines that are rented for a batch: started, listened to, paid for, stopped for certain."""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.folder.pause_note import PausedMachine
from octa_provider.batch.forecast import charge_wei
from octa_provider.batch.run.left_machines import sessions_of_batch
from octa_provider.batch.run.machine_thread import MachineThread
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.told import Rented, Stopped, Told
from octa_provider.errors import OctaError, OctaStopError, tell_also
from octa_provider.rental.clean_up import signals_held
from octa_provider.rental.stop import stop_command
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.rental.rental import Rental

__all__ = ["Crew"]

log = plain_logger("octa_provider.batch.run.crew")

#: A session that nobody knows of any more is looked for so long at the end.
_SWEEP_S = 60.0


class Crew:
    """The threads of a batch's machines. Used in one thread.

    Args:
        parts: what all machines share.

    Attributes:
        since: when the first machine was rented before a pause, on the clock of the parts; None where there was none.
        on_rented: called when one tells that it is rented.
    """

    def __init__(self, parts: BatchParts) -> None:
        self._parts = parts
        self._told: queue.SimpleQueue[tuple[int, Told]] = queue.SimpleQueue()
        self._threads: dict[int, MachineThread] = {}
        self._ended: set[int] = set()
        self._problems: list[Exception] = []
        self._unclear: list[Exception] = []
        self._next = 0
        self.since: float | None = None
        self.on_rented: Callable[[], object] = lambda: None

    @property
    def began_at(self) -> float | None:
        """When the first machine of all was rented, on the clock of the parts; None as long as none is."""
        known = [self.since, *(thread.rented_at for thread in self._threads.values() if not thread.was_refused)]
        return min((at for at in known if at is not None), default=None)

    @property
    def left_s(self) -> float | None:
        """Seconds until they have run for as long as they may; None where nothing bounds that."""
        most_s, began_at = self._parts.batch.max_duration_s, self.began_at
        if most_s is None or began_at is None:
            return most_s
        return most_s - (self._parts.clock.monotonic() - began_at)

    @property
    def rented(self) -> int:
        """How many machines were rented in this run."""
        return sum(thread.rented_at is not None for thread in self._threads.values())

    @property
    def used(self) -> int:
        """How many of these were not refused after all, since they cost more than was offered."""
        return sum(thread.rented_at is not None and not thread.was_refused for thread in self._threads.values())

    @property
    def alive(self) -> int:
        """How many machines bill, or may soon."""
        return len(self._threads) - len(self._ended)

    @property
    def threads(self) -> list[MachineThread]:
        """The threads of all machines of this run, in the order of their start."""
        return list(self._threads.values())

    def thread(self, number: int) -> MachineThread:
        """A machine's thread.

        Args:
            number: the machine's in the batch.
        """
        return self._threads[number]

    def knows(self, number: int) -> bool:
        """Whether a machine has a thread.

        Args:
            number: the machine's in the batch.
        """
        return number in self._threads

    def start(
        self,
        estimate: MachineEstimate,
        *,
        number: int | None = None,
        rental: Rental | None = None,
        kept: tuple[PausedMachine, int] | None = None,
    ) -> int:
        """Rent a machine, or go on with one; returns its number.

        Args:
            estimate: which machine.
            number: of a machine that an earlier coordinator has rented.
            rental: its handle.
            kept: what that one has left it to render, and the number that its order has now.
        """
        if number is None:
            # The folder knows of a number once its machine is about to be rented.
            number = self._next = max(self._next + 1, self._parts.folder.next_slot)
        thread = MachineThread(self._parts, number, estimate, lambda n, told: self._told.put((n, told)), rental, kept)
        # A signal between the two would leave a thread that nobody waits for, or one to wait for that never ran.
        with signals_held():
            thread.start()
            self._threads[number] = thread
        return number

    def hear(self, within_s: float, most: int | None = None) -> list[tuple[int, Told]]:
        """What machines have told; waits a while for the first word.

        Args:
            within_s: seconds to wait for, on the clock of the parts.
            most: no more words than this, the others are heard next time; None for all.
        """
        heard: list[tuple[int, Told]] = []
        until = Deadline(self._parts.clock, within_s)
        while True:
            with suppress(queue.Empty):
                while most is None or len(heard) < most:
                    number, told = self._told.get_nowait()
                    if isinstance(told, Rented):
                        self.on_rented()
                    if isinstance(told, Stopped):
                        self._ended.add(number)
                        if told.error is not None:
                            # What a failed start may have left is looked for once more at the end.
                            is_known = self._threads[number].rental is not None
                            (self._problems if is_known else self._unclear).append(told.error)
                    heard.append((number, told))
            if heard or until.passed:
                return heard
            until.pause(min(0.2, within_s))

    def spent_wei(self) -> int:
        """What this run has cost until now, those that are being stopped included."""
        now = self._parts.clock.monotonic()
        return sum(self._spent_on(thread, now) for thread in self._threads.values())

    def wei_per_s(self) -> float:
        """What a second costs now."""
        running = (t for n, t in self._threads.items() if n not in self._ended and t.rented_at is not None)
        return sum(_price(thread) for thread in running) / 3600

    def leave_all(self) -> None:
        """Hang up on every machine, and return when nobody of ours is at them any more: they render on, and bill."""
        for thread in self._threads.values():
            if thread.number not in self._ended:
                thread.leave()
        for thread in self._threads.values():
            thread.join()

    def stop_all(self, why: str) -> None:
        """Stop every machine, and return when all were seen gone.

        Args:
            why: one clause.

        Raises:
            OctaStopError: some were not; says which, and how to stop them.
        """
        for thread in self._threads.values():
            thread.stop(why)
        for thread in self._threads.values():
            thread.join()
        self.hear(0.0)
        self._sweep()
        if self._problems:
            raise self._problems[0]

    def stop_after(self, error: BaseException) -> None:
        """Stop every machine after something has gone wrong: what can't be stopped is told, and hides nothing.

        Args:
            error: what went wrong; it says so too.
        """
        try:
            self.stop_all("the batch was ended")
        except Exception as problem:  # noqa: BLE001 - told beside what went wrong first
            log.error("%s", problem)
            tell_also(error, str(problem))

    def _sweep(self) -> None:
        """Look once more whether something of the batch runs, and stop it."""
        parts = self._parts
        deadline = Deadline(parts.clock, _SWEEP_S)
        try:
            left = sessions_of_batch(parts.api.within(deadline), parts)
        except OctaError as error:
            if self.rented == 0 and not self._unclear:
                log.info("whether something of the batch runs can't be seen now: %s", error)
                self._problems += _may_run(parts, error)
                return
            # Each that was rented was seen gone by its own thread, or is told of.
            self._problems += self._unclear
            log.warning("whether something else of the batch runs can't be seen now: %s", error)
            return
        for number, session in left.items():
            try:
                parts.rentals.stop(parts.machine_key(number))
            except OctaError as error:
                key = parts.rentals.full_key(parts.machine_key(number))
                problem = OctaStopError(
                    f"session {session.uuid} may still run and bill ({error}). Stop it: {stop_command([], key)}",
                    uuids=(session.uuid,),
                )
                self._problems.append(problem)

    def _spent_on(self, thread: MachineThread, now: float) -> int:
        if thread.bill is not None and thread.bill.charge_wei is not None:
            return thread.bill.charge_wei
        if thread.rented_at is None:
            return 0
        return charge_wei(_price(thread), (thread.stopped_at or now) - thread.rented_at)


def _price(thread: MachineThread) -> int:
    told = thread.rental.price_wei if thread.rental is not None else None
    return told if told is not None else thread.estimate.price_wei


def _may_run(parts: BatchParts, error: OctaError) -> list[OctaStopError]:
    """What an earlier run has left, as far as was written down, and nobody could be asked about."""
    left = parts.folder.open_rentals.values()
    if not left:
        return []
    uuids = tuple(uuid for _, uuid in left if uuid is not None)
    keys = [stop_command([], key) for key, uuid in left if uuid is None]
    how = "; ".join(([stop_command(uuids)] if uuids else []) + keys)
    said = f"What an earlier run has left may still run and bill ({error}). Stop it: {how}"
    return [OctaStopError(said, uuids=uuids)]
