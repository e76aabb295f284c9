"""One order on one machine: its processes, and the frames that come of them, checked and accepted one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.batch.folder.work import Made
from octa_provider.batch.machine.link import MachineLink
from octa_provider.batch.machine.look import FileSeen, Look
from octa_provider.batch.run.machine_clock import MachineClock
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.told import Bad, Began, Broke, Came, Done, Told
from octa_provider.files.limits import TransferLimits
from octa_provider.render.frame_files import FilePattern
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.batch.renderers.log_rule import Failure
    from octa_provider.batch.renderers.renderer import Renderer

__all__ = ["MachineName", "Rendering"]

log = plain_logger("octa_provider.batch.run.rendering")

#: Frames that are looked for at a time: those that come next.
_WINDOW = 64
_AT_THE_END = 500
#: A disk with less room than this is full.
_FULL_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class MachineName:
    """What a machine is known by.

    Attributes:
        number: its number in the batch.
        node_id: the node.
        uuid: its session.
    """

    number: int
    node_id: int
    uuid: str


@dataclass
class _Order:
    """What is being rendered.

    Attributes:
        frames: those that have not come, in their order.
        processes: their numbers on the machine.
        number: names the order.
        began_at: when they were begun, on the machine's clock; None until the first look.
        begun: when each frame was begun, where the machine tells.
        last_at: when the last frame was done, on the machine's clock.
        at: the frame that it was last said to be at.
        made: how many frames came.
    """

    frames: list[int]
    processes: list[int]
    number: int = 0
    began_at: float | None = None
    begun: dict[int, float] = field(default_factory=dict)
    last_at: float | None = None
    at: int | None = None
    made: int = 0


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
        self._patterns = [FilePattern(text) for text in self._renderer.files]
        self._devices = list(self._renderer.devices)
        self._order: _Order | None = None
        self._clock = MachineClock(parts.clock)
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
            order = _Order(list(frames), [], number)
            self._link.clean([self._renderer.skip_file(frame) for frame in frames])
            order.processes = list(range(self._next_process, self._next_process + turns))
            # From here on they may run, whatever becomes of the answer.
            self._next_process += turns
            self._order = order
        device = self._devices[0] if self._devices else None
        for turn, process in enumerate(order.processes):
            script = self._renderer.process_script(
                order.frames, self._parts.main, device=device, turn=turn, turns=len(order.processes)
            )
            self._link.begin(process, script)

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
        names = {self._renderer.skip_file(frame): frame for frame in reversed(frames) if frame in set(order.frames)}
        laid = {names[name] for name in self._link.skip(list(names))}
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

    def look(self) -> None:
        """See how far it is; fetch, check and accept what has come."""
        order = self._order
        if order is None:
            return
        window = order.frames[:_WINDOW]
        look = self._look_at(order.processes, self._names(window))
        if order.began_at is None:
            order.began_at = look.now
        codes = [look.processes.get(process, -1) for process in order.processes]
        has_ended = all(code is not None for code in codes)
        self._take_in(order, window, look, has_ended=has_ended)
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
        order = _Order(list(frames), [])
        for part in _parts_of(order.frames, _AT_THE_END):
            look = self._look_at((), self._names(part))
            self._take_in(order, part, look, has_ended=True, tells_bad=False)

    def _look_at(self, processes: Sequence[int], names: Sequence[str]) -> Look:
        look = self._link.look(processes, names)
        self._clock.read(look.now)
        return look

    def _settle(self, order: _Order, codes: list[int]) -> None:
        is_full = False
        for part in _parts_of(order.frames, _AT_THE_END):
            look = self._look_at((), self._names(part))
            is_full = _is_full(look)
            self._take_in(order, part, look, has_ended=True)
        self._order = None
        if not order.frames:
            self._tell(Done(order.number))
            return
        failure = self._failure(order, codes)
        if failure is not None and failure.kind == "no device" and order.made == 0 and len(self._devices) > 1:
            log.info("node %s has no %s: %s is tried", self._machine.node_id, *self._devices[:2])
            del self._devices[0]
            self.begin(order.frames, len(order.processes), order.number)
        elif failure is not None and failure.kind == "out of memory" and self._halve(order.made):
            self.begin(order.frames, len(order.processes), order.number)
        else:
            self._tell(Broke(tuple(order.frames), failure, order.made, is_full, order.number))

    def _failure(self, order: _Order, codes: list[int]) -> Failure | None:
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
        self._renderer = replace(self._renderer, max_frames_per_process=fewer)
        return True

    def _names(self, frames: Sequence[int]) -> list[str]:
        names = dict.fromkeys(pattern.name(frame) for frame in frames for pattern in self._patterns)
        names.update(dict.fromkeys(self._renderer.skip_file(frame) for frame in frames))
        return list(names)

    def _take_in(
        self, order: _Order, frames: Sequence[int], look: Look, *, has_ended: bool, tells_bad: bool = True
    ) -> None:
        files = {frame: [look.files.get(pattern.name(frame)) for pattern in self._patterns] for frame in frames}
        last_begun = self._note_begun(order, frames, files, look)
        passed: dict[int, bool] = {}
        for place, frame in enumerate(frames):
            seen = files[frame]
            if not all(file is not None and file.size > 0 for file in seen):
                continue
            is_past = has_ended or (len(order.processes) == 1 and place < last_begun)
            last_at = max(file.mtime for file in seen if file is not None)
            quiet_s = 0.0 if look.now is None else self._clock.seconds(look.now - last_at)
            if is_past or quiet_s >= self._parts.pacing.quiet_s:
                passed[frame] = is_past or quiet_s >= self._parts.pacing.settle_s
        if passed:
            self._fetch(order, files, passed, look, tells_bad=tells_bad)

    def _note_begun(
        self, order: _Order, frames: Sequence[int], files: dict[int, list[FileSeen | None]], look: Look
    ) -> int:
        """Note which frames have begun; returns the place of the last of them, -1 for none."""
        last, at = -1, None
        for place, frame in enumerate(frames):
            claim = look.files.get(self._renderer.skip_file(frame))
            is_own_file = self._renderer.skip_file(frame) in {pattern.name(frame) for pattern in self._patterns}
            if claim is not None and (claim.size == 0 or not is_own_file):
                order.begun.setdefault(frame, claim.mtime)
            if claim is not None or any(file is not None for file in files[frame]):
                last = place
                if not all(file is not None and file.size > 0 for file in files[frame]):
                    at = frame
        if at is not None and at != order.at:
            load_s = None
            if order.at is None and order.made == 0 and order.began_at is not None and at in order.begun:
                load_s = self._clock.seconds(order.begun[at] - order.began_at)
            order.at = at
            self._tell(Began(at, load_s))
        return last

    def _fetch(
        self,
        order: _Order,
        files: dict[int, list[FileSeen | None]],
        passed: dict[int, bool],
        look: Look,
        *,
        tells_bad: bool,
    ) -> None:
        parts, machine = self._parts, self._machine
        incoming = parts.folder.incoming(machine.number)
        most = parts.batch.check.max_frame_bytes
        too_large = [frame for frame in passed if any(file is not None and file.size > most for file in files[frame])]
        wanted = [pattern.name(frame) for frame in passed if frame not in too_large for pattern in self._patterns]
        limits = TransferLimits(max_bytes=max(1, most * len(wanted)), max_entries=len(wanted) + 1)
        self._link.fetch(wanted, incoming, limits)
        empty: list[str] = []
        by_end = sorted(passed, key=lambda frame: max(file.mtime for file in files[frame] if file is not None))
        for frame in by_end:
            if self._judge(order, frame, incoming, files[frame], look, is_past=passed[frame], tells_bad=tells_bad):
                empty += [pattern.name(frame) for pattern in self._patterns]
        if empty:
            # Only now: what was not accepted must still be there for the next coordinator.
            self._link.empty(empty)

    def _judge(
        self,
        order: _Order,
        frame: int,
        incoming: Path,
        seen: Sequence[FileSeen | None],
        look: Look,
        *,
        is_past: bool,
        tells_bad: bool,
    ) -> bool:
        """Accept or refuse a frame that is here; False when it may still be written to."""
        parts, machine = self._parts, self._machine
        verdict = parts.folder.judge(frame, incoming, machine.node_id)
        if verdict.flaw and not is_past:
            return False
        done_at = max(file.mtime for file in seen if file is not None)
        seconds, first_s = self._seconds(order, frame, done_at)
        order.last_at = done_at
        order.frames.remove(frame)
        made = Made(machine.node_id, machine.number, machine.uuid, seconds if seconds is not None else first_s)
        if not verdict.flaw:
            with parts.lock:
                is_accepted = parts.folder.accept(frame, incoming, verdict, made)
            order.made += 1
            size = sum(file.bytes for file in verdict.files)
            self._tell(Came(frame, seconds, first_s, is_accepted, size))
            return True
        with parts.lock:
            parts.folder.refuse(frame, incoming, verdict.flaw, made)
        if tells_bad:
            self._tell(Bad(frame, verdict.flaw, _is_full(look)))
        return True

    def _seconds(self, order: _Order, frame: int, done_at: float) -> tuple[float | None, float | None]:
        """What a frame took, and what the first one of its processes did, in seconds, where it can be told."""
        if order.last_at is None:
            began_at = order.begun.get(frame, order.began_at)
            return None, None if began_at is None else self._clock.seconds(done_at - began_at)
        since = order.last_at
        if len(order.processes) == 1:
            since = max(since, order.begun.get(frame, since))
        return self._clock.seconds(done_at - since), None


def _is_full(look: Look) -> bool:
    return look.free_bytes is not None and look.free_bytes < _FULL_BYTES


def _parts_of(frames: list[int], size: int) -> Iterator[list[int]]:
    # A copy: those that come are taken out meanwhile.
    whole = list(frames)
    for at in range(0, len(whole), size):
        yield whole[at : at + size]
