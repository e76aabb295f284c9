"""A machine that is up does what it is ordered to, and renders, until it is stopped or lost."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from octa_provider.batch.machine.link import MachineLink
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.rendering import Rendering
from octa_provider.batch.run.told import (
    Begin,
    Drop,
    Order,
    Pause,
    Paused,
    Preflighted,
    PreflightWanted,
    Skip,
    Skipped,
    Told,
)
from octa_provider.errors import OctaError, OctaLocalFileError, OctaSshError
from octa_provider.models import SessionPhase
from octa_provider.rental.wait import look
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import is_transient
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental import Rental

__all__ = ["Serving"]

log = plain_logger("octa_provider.batch.run.serving")

_SLICE_S = 0.5
#: Whether a session still runs is asked for so long.
_ASK_S = 30.0


class Serving:
    """What a machine does once it is up. Used in its thread alone.

    Args:
        parts: what all machines share.
        rental: the machine's.
        link: the line to it.
        rendering: what it renders.
        orders: what it is ordered to do.
        ending: set when it is to end.
        tell: told what happens.

    Attributes:
        render_s: how long it rendered, in seconds.
    """

    def __init__(
        self,
        parts: BatchParts,
        rental: Rental,
        link: MachineLink,
        rendering: Rendering,
        orders: queue.SimpleQueue[Order],
        ending: threading.Event,
        tell: Callable[[Told], object],
    ) -> None:
        self._parts = parts
        self._rental = rental
        self._link = link
        self._rendering = rendering
        self._orders = orders
        self._order: Order | None = None
        self._ending = ending
        self._tell = tell
        self.render_s = 0.0

    def run(self) -> str | None:
        """Serve; returns why the machine is lost, as one clause, or None when it was told to end."""
        clock, pacing = self._parts.clock, self._parts.pacing
        answered = clock.monotonic()
        while not self._ending.is_set():
            was_busy, began = self._rendering.is_busy, clock.monotonic()
            try:
                if self._carry_out():
                    answered = clock.monotonic()
                    continue
                if self._rendering.is_busy:
                    self._rendering.look()
                    answered = clock.monotonic()
            except OctaLocalFileError:
                # No machine can help this computer's disk: the next one would be rented for nothing.
                raise
            except OctaSshError as error:
                if not self._still_runs():
                    return "its session has ended"
                if clock.monotonic() - answered > pacing.lost_after_s:
                    return f"it does not answer over SSH ({error.message.splitlines()[0]})"
                log.info("node %s does not answer now: %s", self._rental.node_id, error)
            until = Deadline(clock, pacing.poll_s)
            while not until.passed and not self._ending.is_set() and self._orders.empty():
                until.pause(_SLICE_S)
            if was_busy:
                self.render_s += clock.monotonic() - began
        return None

    def _carry_out(self) -> bool:
        """Do what it was ordered first; again until it was done, should the line be lost. Whether there was one."""
        if self._order is None:
            with suppress(queue.Empty):
                self._order = self._orders.get_nowait()
        order = self._order
        if order is None:
            return False
        if isinstance(order, PreflightWanted):
            self._preflight()
        elif isinstance(order, Begin):
            self._rendering.begin(order.frames, order.processes, order.number)
        elif isinstance(order, Skip):
            self._tell(Skipped(self._rendering.skip(order.frames), order.number))
        elif isinstance(order, Drop):
            self._rendering.drop(order.frame)
        elif isinstance(order, Pause):
            self._tell(Paused(self._rendering.kept(), order.number))
        self._order = None
        return True

    def _preflight(self) -> None:
        renderer = self._parts.batch.renderer
        script = renderer.preflight_script(self._parts.main)
        assert script is not None
        exit_code, output = self._link.run_script(script)
        log.info("the preflight on node %s ended with %s", self._rental.node_id, exit_code)
        self._tell(Preflighted(renderer.read_preflight(output), exit_code == 0))

    def _still_runs(self) -> bool:
        """Whether the session runs, as far as the API tells; an API that is away tells nothing."""
        deadline = Deadline(self._parts.clock, _ASK_S)
        try:
            session: Session | None = look(self._parts.api.within(deadline, self._ending.is_set), self._rental.uuid)
        except OctaError as error:
            if not is_transient(error):
                raise
            return True
        return session is not None and session.phase is not SessionPhase.FINISHED
