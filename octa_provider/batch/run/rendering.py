"""One order on one machine: its processes, begun, looked at, ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from octa_provider.batch.folder.pause_note import KeptOrder
from octa_provider.batch.machine.link import MachineLink
from octa_provider.batch.machine.look import Look
from octa_provider.batch.run.arrivals import Arrivals, is_full
from octa_provider.batch.run.machine_clock import MachineClock
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.render_order import MachineName, RenderOrder
from octa_provider.batch.run.told import Broke, Done, Told
from octa_provider.errors import OctaSshError
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.batch.renderers.log_rule import Failure
    from octa_provider.batch.renderers.renderer import Renderer

__all__ = ["Rendering"]

log = plain_logger("octa_provider.batch.run.rendering")

#: Frames that are looked for at a time: those that come next.
_WINDOW = 64
_AT_THE_END = 500


class Rendering:
    """What one machine renders. Used in its thread alone.

    Args:
        parts: what all machines share.
        machine: which.
        link: the line to it.
        tell: told what happens.
        first_process: the number of its first process; those below were begun by an earlier coordinator.
    """

    def __init__(
        self,
        parts: BatchParts,
        machine: MachineName,
        link: MachineLink,
        tell: Callable[[Told], object],
        first_process: int = 1,
    ) -> None:
        self._parts = parts
        self._machine = machine
        self._link = link
        self._tell = tell
        self._next_process = first_process
        self._renderer: Renderer = parts.batch.renderer
        self._devices = list(self._renderer.devices)
        self._order: RenderOrder | None = None
        self._clock = MachineClock(parts.clock)
        self._arrivals = Arrivals(parts, machine, link, tell, self._clock)
        self._look_at((), ())

    @property
    def is_busy(self) -> bool:
        """Whether something is being rendered."""
        return self._order is not None

    def begin(self, frames: Sequence[int], turns: int, number: int) -> None:
        """Render frames; what was rendered before is ended first. Safe to repeat after the line was lost.

        Args:
            frames: their numbers, in their order.
            turns: how many processes share them.
            number: names the order in what is told of its end.
        """
        order = self._order
        if order is None or order.number != number or order.frames != list(frames):
            self.end()
            processes = list(range(self._next_process, self._next_process + turns))
            # From here on they may run, whatever becomes of the answers: a line that is lost loses no order.
            order = self._order = RenderOrder(list(frames), processes, number, ordered_at=self._parts.clock.monotonic())
            self._next_process += turns
        self._start(order)

    def _start(self, order: RenderOrder) -> None:
        """Begin the processes of an order, or those that the machine has not been told of yet."""
        if not order.is_cleaned:
            self._link.clean([self._renderer.skip_file(frame) for frame in order.frames])
            order.is_cleaned = True
        device = self._devices[0] if self._devices else None
        for turn, process in enumerate(order.processes):
            script = self._renderer.process_script(
                order.frames, self._parts.main, device=device, turn=turn, turns=len(order.processes)
            )
            self._link.begin(process, script)
        order.is_begun = True

    def end(self) -> None:
        """End what is being rendered; frames that it has made, and that have not come, are made again."""
        if self._order is not None:
            self._link.kill(self._order.processes)
            self._order = None

    def skip(self, frames: Sequence[int]) -> tuple[int, ...]:
        """Have frames not begun any more; returns those that had not.

        Args:
            frames: their numbers, ascending.
        """
        order = self._order
        if order is None or not self._renderer.can_skip:
            return ()
        order.laid.update(frames)
        left = set(order.frames)
        names = {self._renderer.skip_file(frame): frame for frame in reversed(frames) if frame in left}
        try:
            laid = {names[name] for name in self._link.skip(list(names))}
        except OctaSshError:
            # Its files may lie there: such a frame looks like one that has begun.
            order.unsure.update(names.values())
            raise
        order.frames = [frame for frame in order.frames if frame not in laid]
        return tuple(sorted(laid))

    def drop(self, frame: int) -> None:
        """Go on without a frame that another machine was quicker with.

        Args:
            frame: its number.
        """
        order = self._order
        if order is None or frame not in order.frames:
            return
        rest = [other for other in order.frames if other != frame]
        turns = len(order.processes)
        if not rest:
            self.end()
            self._tell(Done(order.number))
        elif self.skip([frame]) == ():
            # It is at it.
            self.begin(rest, turns, order.number)

    def kept(self) -> KeptOrder | None:
        """Fetch all that is there, and say what is being rendered, so that somebody else can go on with it.

        Returns:
            That; None where nothing is, or where it is not certain what the machine was told.
        """
        order = self._order
        left = -1
        while order is not None and order is self._order and len(order.frames) != left:
            left = len(order.frames)
            self.look()
        if order is None or order is not self._order or not order.is_begun or order.unsure:
            return None
        laid = tuple(frame for frame in order.frames if frame in order.laid)
        return KeptOrder(
            tuple(order.frames),
            tuple(order.processes),
            laid,
            order.began_at,
            order.last_at,
            order.made,
            self._clock.rate,
        )

    def go_on(self, kept: KeptOrder, number: int) -> None:
        """Go on with what the machine renders, begun by an earlier coordinator.

        Args:
            kept: as its `kept` said.
            number: names the order in what is told of its end.
        """
        self._clock.rate = kept.rate
        self._order = RenderOrder(
            list(kept.frames),
            list(kept.processes),
            number,
            began_at=kept.began_at,
            last_at=kept.last_at,
            made=kept.made,
            is_cleaned=True,
            is_begun=True,
            laid=set(kept.laid),
        )

    def look(self) -> None:
        """See how far it is; fetch, check and accept what has come."""
        order = self._order
        if order is None:
            return
        if not order.is_begun:
            # The line was lost while it was to be begun.
            self._start(order)
        window = order.frames[:_WINDOW]
        look = self._look_at(order.processes, self._arrivals.names(window))
        if order.began_at is None:
            order.began_at = look.now
        codes = [look.processes.get(process, -1) for process in order.processes]
        has_ended = all(code is not None for code in codes)
        self._arrivals.take_in(order, window, look, has_ended=has_ended)
        if has_ended:
            self._settle(order, [code for code in codes if code is not None])
        elif not order.frames:
            # An add-on can keep Blender alive after its last frame.
            self.end()
            self._tell(Done(order.number))

    def fetch_left(self, frames: Sequence[int]) -> None:
        """Take what an earlier coordinator's processes have rendered; they have been ended.

        Args:
            frames: the numbers of those that may be there.
        """
        order = RenderOrder(list(frames), [])
        for part in _parts_of(order.frames, _AT_THE_END):
            look = self._look_at((), self._arrivals.names(part))
            self._arrivals.take_in(order, part, look, has_ended=True, tells_bad=False)

    def _look_at(self, processes: Sequence[int], names: Sequence[str]) -> Look:
        look = self._link.look(processes, names)
        self._clock.read(look.now)
        return look

    def _settle(self, order: RenderOrder, codes: list[int]) -> None:
        disk_is_full = False
        for part in _parts_of(order.frames, _AT_THE_END):
            look = self._look_at((), self._arrivals.names(part))
            disk_is_full = is_full(look)
            self._arrivals.take_in(order, part, look, has_ended=True)
        # Asked before the order is let go: should the line be lost, all of this is done again at the next look.
        failure = self._failure(order, codes) if order.frames else None
        self._order = None
        if not order.frames:
            self._tell(Done(order.number))
            return
        if failure is not None and failure.kind == "no device" and order.made == 0 and len(self._devices) > 1:
            log.info("node %s has no %s: %s is tried", self._machine.node_id, *self._devices[:2])
            del self._devices[0]
            self.begin(order.frames, len(order.processes), order.number)
        elif failure is not None and failure.kind == "out of memory" and self._halve(order.made):
            self.begin(order.frames, len(order.processes), order.number)
        else:
            # Where the line was lost while files were laid, nobody knows who has laid them.
            claimed = [frame for frame in order.frames if failure is None and frame not in order.laid]
            self._tell(Broke(tuple(order.frames), failure, order.made, disk_is_full, order.number, tuple(claimed)))

    def _failure(self, order: RenderOrder, codes: list[int]) -> Failure | None:
        found = None
        for process, code in zip(order.processes, codes, strict=True):
            failure = self._renderer.failure_of(self._link.log_end(process), None if code < 0 else code)
            if failure is not None and (found is None or found.kind == "failed"):
                found = failure
        return found

    def _halve(self, made: int) -> bool:
        """Memory may have grown frame by frame: fewer of them a process. Whether that can help."""
        most = self._renderer.max_frames_per_process
        if made == 0 or most == 1:
            return False
        fewer = max(1, (made if most is None else min(made, most)) // 2)
        log.info("node %s ran out of memory: %s frames a process from now on", self._machine.node_id, fewer)
        self._renderer = replace(self._renderer, max_frames_per_process=fewer)
        return True


def _parts_of(frames: list[int], size: int) -> Iterator[list[int]]:
    # A copy: those that come are taken out meanwhile.
    whole = list(frames)
    for at in range(0, len(whole), size):
        yield whole[at : at + size]
