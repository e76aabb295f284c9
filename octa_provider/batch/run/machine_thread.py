"""A thread for each machine of a batch: rents it, brings it the scene, renders what it is ordered to, stops it.

Whatever happens in it, it ends with the session seen stopped, and says so.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.folder.pause_note import KeptOrder, PausedMachine
from octa_provider.batch.folder.work import Spans
from octa_provider.batch.machine.link import MachineLink
from octa_provider.batch.machine.scripts import stay_command
from octa_provider.batch.run.left_machines import began_at
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.render_order import MachineName
from octa_provider.batch.run.rendering import Rendering
from octa_provider.batch.run.serving import Serving
from octa_provider.batch.run.told import Crashed, Done, Lost, Order, Ready, Refused, Rented, Stopped, Told, as_clause
from octa_provider.errors import (
    OctaCancelledError,
    OctaConfigError,
    OctaError,
    OctaLocalFileError,
    OctaNoMachineError,
    OctaSshError,
    OctaStartUnclearError,
)
from octa_provider.market.request import MachineRequest
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.target import SshTarget, ssh_key
from octa_provider.render.frame_files import FilePattern
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.rental.rental import Rental
    from octa_provider.rental.terms import Bill

__all__ = ["MachineThread"]

log = plain_logger("octa_provider.batch.run.machine_thread")

#: A price that has gone up by more than this share since it was planned with is not paid.
_DEARER = 1.02
#: So small a scene tells nothing of a line.
_TELLING_BYTES = 5_000_000
_SLICE_S = 0.5
#: How long the start of one machine is tried for; the plan's next may be quicker.
_START_S = 120.0


class MachineThread(threading.Thread):
    """The thread of one machine.

    Args:
        parts: what all machines share.
        number: the machine's number in the batch, which its rental key ends with.
        estimate: which machine, and what is expected of it.
        tell: told what happens; called in this thread, must not wait.
        rental: what an earlier coordinator has rented; None rents one.
        kept: what that one renders, and the number that its order has now; None where that is not known.

    Attributes:
        number, estimate: the same.
        rental: its handle, once it is rented.
        rented_at, stopped_at: when its session began and was seen gone, on the clock of the parts; None before.
        bill: what it came to, once it was stopped.
        was_refused: whether its start was refused, perhaps as its session cost too much, and was stopped.
    """

    def __init__(
        self,
        parts: BatchParts,
        number: int,
        estimate: MachineEstimate,
        tell: Callable[[int, Told], object],
        rental: Rental | None = None,
        kept: tuple[PausedMachine, int] | None = None,
    ) -> None:
        super().__init__(name=f"octa-batch-m{number}", daemon=True)
        self._parts = parts
        self.number = number
        self.estimate = estimate
        self.rental = rental
        self.rented_at: float | None = None
        self.stopped_at: float | None = None
        self.bill: Bill | None = None
        self.was_refused = False
        self._tell_all = tell
        self._kept = kept
        self._is_left = False
        #: Whether the machine is still at what it was left with.
        self._is_at_kept = True
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._asked_to_end = threading.Event()
        self._why = "it was not needed any more"
        self._start_s = self._transfer_s = 0.0
        #: What it rendered while it was left to itself.
        self._rendered_s = 0.0
        self._serving: Serving | None = None
        self._ready_at: float | None = None
        #: Whether a start has failed that may have left a session.
        self._is_unclear = False

    def order(self, order: Order) -> None:
        """Have it do something, after what it was ordered before."""
        self._orders.put(order)

    def stop(self, why: str) -> None:
        """Have its session stopped, whatever it is at; `Stopped` is told when it was seen gone.

        Args:
            why: one clause.
        """
        if not self._asked_to_end.is_set():
            self._why = why
            self._asked_to_end.set()

    def leave(self) -> None:
        """Hang up, and let the machine render on and bill."""
        self._is_left = True
        self._asked_to_end.set()

    @property
    def why(self) -> str:
        """Why it was stopped, as one clause."""
        return self._why

    def run(self) -> None:
        """The whole life of the machine."""
        try:
            rental = self._rent()
            if rental is not None:
                self._use(rental)
        except OctaCancelledError:
            pass
        except (OctaConfigError, OctaLocalFileError) as error:
            # Not the machine's fault: the scene has changed, or this computer's disk is full.
            self._why = str(error)
            self._tell(Crashed(error))
        except OctaError as error:
            self._why = as_clause(error)
            is_our_key = isinstance(error, OctaSshError) and error.refused
            if is_our_key and self._parts.logins.refused(self.estimate.node_id):
                # Each further machine would be rented for nothing.
                self._tell(Crashed(error))
            else:
                self._tell(Lost(as_clause(error)))
        except Exception as error:  # noqa: BLE001 - told to the coordinator, which raises it when nothing bills any more
            self._why = f"{type(error).__name__}: {error}"
            self._tell(Crashed(error))
        finally:
            self._end()

    def _tell(self, told: Told) -> None:
        self._tell_all(self.number, told)

    def _rent(self) -> Rental | None:
        parts = self._parts
        if self.rental is not None:
            self._rented(self.rental)
            return self.rental
        batch = parts.batch
        dearest = self.estimate.price_usd * _DEARER
        limit = batch.requirements.max_price_usd
        requirements = replace(
            batch.requirements,
            node_id=self.estimate.node_id,
            max_price_usd=limit if limit is not None and limit < dearest else dearest or limit,
        )
        if change := parts.scene_change:
            # Those that have it can still finish the batch.
            self._why = change
            self._tell(Refused(change, False, OctaLocalFileError(change)))
            return None
        with parts.lock:
            parts.folder.renting(self.number, self.estimate.node_id, parts.machine_key(self.number))
        request = MachineRequest(
            image=batch.renderer.image, disk_gb=batch.disk_gb, start_command=stay_command(), labels=batch.labels
        )
        try:
            return parts.rentals.start(
                request,
                key=parts.machine_key(self.number),
                requirements=requirements,
                deadline_s=_START_S,
                fingerprint=parts.fingerprint,
                on_started=self._rented,
                is_cancelled=self._asked_to_end.is_set,
            )
        except OctaCancelledError:
            self._is_unclear = True
            raise
        except OctaError as error:
            self._is_unclear = not isinstance(error, OctaNoMachineError)
            self._why, self.was_refused = as_clause(error), True
            is_gone = isinstance(error, (OctaNoMachineError, OctaStartUnclearError))
            self._tell(Refused(as_clause(error), is_gone, error))
            return None

    def _rented(self, rental: Rental) -> None:
        self.rental = rental
        if self.rented_at is None:
            clock = self._parts.clock
            self.rented_at = began_at(rental, clock) if rental.adopted else clock.monotonic()
        with self._parts.lock:
            self._parts.folder.rented(
                self.number, rental.uuid, self.estimate.node_id, rental.price_wei, rental.price_usd
            )
        self._tell(Rented(rental))

    def _use(self, rental: Rental) -> None:
        parts = self._parts
        session = rental.wait_until_ready(
            deadline_s=parts.batch.ready_timeout_s, poll_s=parts.pacing.poll_s, is_cancelled=self._asked_to_end.is_set
        )
        target = SshTarget.of(session, private_key=ssh_key(parts.private_key))
        with RemoteMachine(target, connect_within_s=parts.pacing.login_s) as remote:
            link = MachineLink(remote, self._asked_to_end.is_set)
            first, ready = self._bring(rental, link)
            # From now on one that does not answer may be gone, which the API knows at once.
            remote.connect_within_s = 0.0
            name = MachineName(self.number, self.estimate.node_id, rental.uuid)
            rendering = Rendering(parts, name, link, self._tell, first)
            if rental.adopted:
                # Before it is told to be ready: nobody is to give it frames that it has made already.
                self._fetch_left(rendering)
            self._tell(ready)
            if rental.adopted:
                self._go_on(rendering)
            self._serving = Serving(parts, rental, link, rendering, self._orders, self._asked_to_end, self._tell)
            lost = self._serving.run()
            if lost is not None:
                self._why = lost
                self._tell(Lost(lost))

    def _bring(self, rental: Rental, link: MachineLink) -> tuple[int, Ready]:
        """Bring the scene; returns the number of the first process that is free, and what is to be told then."""
        parts, clock = self._parts, self._parts.clock
        link.prepare()
        parts.logins.worked()
        processes: list[int] = []
        self._left_names: list[int] = []
        if rental.adopted:
            processes, names = link.made()
            self._left_names = self._frames_of(names)
            if self._kept is not None and max(self._kept[0].order.processes) == max(processes, default=0):
                # It has the scene, and has rendered from it since.
                self._ready_at = clock.monotonic()
                spans = self._kept[0].spans
                self._start_s, self._transfer_s = spans.start_s, spans.transfer_s
                lived_s = self._ready_at - (self.rented_at or 0.0)
                self._rendered_s = max(0.0, lived_s - spans.start_s - spans.transfer_s - spans.idle_s)
                return max(processes) + 1, Ready(None)
            # What they are at is not known any more; what they have made is.
            link.kill(processes)
            self._is_at_kept = False
        self._start_s = clock.monotonic() - (self.rented_at or 0.0)
        while not parts.sending.acquire(timeout=_SLICE_S):
            if self._asked_to_end.is_set():
                raise OctaCancelledError("not needed any more")
        try:
            began = clock.monotonic()
            link.send_scene(parts.tree)
            self._transfer_s = clock.monotonic() - began
        finally:
            parts.sending.release()
        if change := parts.scene_change:
            # It may have been saved while it was sent: this machine would render a scene that nobody looked at.
            raise OctaError(change)
        self._ready_at = clock.monotonic()
        size = parts.tree.size
        speed = size * 8 / 1e6 / self._transfer_s if size >= _TELLING_BYTES and self._transfer_s > 0 else None
        return max(processes, default=0) + 1, Ready(speed)

    def _fetch_left(self, rendering: Rendering) -> None:
        """Take what is there, but for what the machine is at by itself."""
        accepted, kept = self._parts.folder.accepted, self._kept_order()
        rendered = set(kept.frames) if kept is not None else set()
        rendering.fetch_left([n for n in self._left_names if n not in accepted and n not in rendered])

    def _kept_order(self) -> KeptOrder | None:
        return self._kept[0].order if self._kept is not None and self._is_at_kept else None

    def _go_on(self, rendering: Rendering) -> None:
        """Go on with what the machine renders by itself."""
        kept = self._kept_order()
        if self._kept is not None and kept is not None:
            rendering.go_on(kept, self._kept[1])
        elif self._kept is not None:
            # It was at something else: what it should have been at is begun again.
            self._tell(Done(self._kept[1]))

    def _frames_of(self, names: list[str]) -> list[int]:
        """The frames that are asked for and not accepted, and have a file of such a name."""
        there = set(names)
        first = self._parts.batch.renderer.files[0]
        pattern = FilePattern(first)
        return [n for n in self._parts.batch.numbers if pattern.name(n) in there]

    def _end(self) -> None:
        """Stop the session; nothing keeps this from happening."""
        if self._is_left:
            self._tell(Stopped(None))
            return
        self._asked_to_end.set()
        problem: Exception | None = None
        parts = self._parts
        try:
            if self.rental is not None:
                self.bill = self.rental.stop(deadline_s=parts.pacing.stop_s)
            elif self._is_unclear:
                parts.rentals.stop(parts.machine_key(self.number), deadline_s=parts.pacing.stop_s)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for a last word that never comes
            problem = error
        if self.rental is not None:
            self.stopped_at = parts.clock.monotonic()
            self._write_down()
        self._tell(Stopped(self.bill, problem))

    def spans(self, now: float) -> Spans:
        """How its time went until now.

        Args:
            now: on the clock of the parts.
        """
        lived_s = 0.0 if self.rented_at is None else now - self.rented_at
        start_s = min(lived_s, self._start_s) if self._ready_at is not None else lived_s
        rendered_s = self._rendered_s + (0.0 if self._serving is None else self._serving.render_s)
        render_s = min(rendered_s, lived_s - start_s)
        transfer_s = min(self._transfer_s, lived_s - start_s - render_s)
        return Spans(start_s, transfer_s, render_s, max(0.0, lived_s - start_s - transfer_s - render_s))

    def _write_down(self) -> None:
        assert self.stopped_at is not None
        spans = self.spans(self.stopped_at)
        try:
            with self._parts.lock:
                self._parts.folder.ended(self.number, self.bill, spans, self._why)
        except OctaError as error:
            log.error("what machine m%s came to could not be written down: %s", self.number, error)
