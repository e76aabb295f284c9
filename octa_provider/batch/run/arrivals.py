"""Frames that come from a machine: seen, fetched, judged, and accepted or refused, one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.batch.folder.judge import Verdict
from octa_provider.batch.folder.work import Made
from octa_provider.batch.machine.link import MachineLink
from octa_provider.batch.machine.look import FileSeen, Look
from octa_provider.batch.run.machine_clock import MachineClock
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.render_order import MachineName, RenderOrder
from octa_provider.batch.run.told import Bad, Began, Came, Told
from octa_provider.files.limits import TransferLimits, shown_size
from octa_provider.render.frame_files import FilePattern

if TYPE_CHECKING:
    from octa_provider.batch.renderers.renderer import Renderer

__all__ = ["Arrivals", "is_full"]

#: A disk with less room than this is full.
_FULL_BYTES = 4 * 1024 * 1024


class Arrivals:
    """What one machine's frames go through when they come. Used in its thread alone.

    Args:
        parts: what all machines share.
        machine: which.
        link: the line to it.
        tell: told what happens.
        clock: the machine's beside ours.
    """

    def __init__(
        self,
        parts: BatchParts,
        machine: MachineName,
        link: MachineLink,
        tell: Callable[[Told], object],
        clock: MachineClock,
    ) -> None:
        self._parts = parts
        self._machine = machine
        self._link = link
        self._tell = tell
        self._clock = clock
        self._renderer: Renderer = parts.batch.renderer
        self._patterns = [FilePattern(text) for text in self._renderer.files]

    def names(self, frames: Sequence[int]) -> list[str]:
        """The files that tell how far frames are.

        Args:
            frames: their numbers.
        """
        names = dict.fromkeys(pattern.name(frame) for frame in frames for pattern in self._patterns)
        names.update(dict.fromkeys(self._renderer.skip_file(frame) for frame in frames))
        return list(names)

    def take_in(
        self, order: RenderOrder, frames: Sequence[int], look: Look, *, has_ended: bool, tells_bad: bool = True
    ) -> None:
        """Take what has come of frames, and note which have begun.

        Args:
            order: what is being rendered; frames that come are taken out of it.
            frames: the numbers of those that were looked for, in their order.
            look: what the machine told.
            has_ended: whether nothing writes to their files any more.
            tells_bad: whether a frame that is not whole is told of.
        """
        files = {frame: [look.files.get(pattern.name(frame)) for pattern in self._patterns] for frame in frames}
        last_begun = self._note_begun(order, frames, files, look)
        passed: dict[int, bool] = {}
        for place, frame in enumerate(frames):
            seen = files[frame]
            if not all(file is not None and file.size > 0 for file in seen):
                continue
            is_past = (
                has_ended or (len(order.processes) == 1 and place < last_begun) or bool(self._too_large(frame, seen))
            )
            last_at = max(file.mtime for file in seen if file is not None)
            quiet_s = 0.0 if look.now is None else self._clock.seconds(look.now - last_at)
            if is_past or quiet_s >= self._parts.pacing.quiet_s:
                passed[frame] = is_past or quiet_s >= self._parts.pacing.settle_s
        if passed:
            self._fetch(order, files, passed, look, tells_bad=tells_bad)

    def _note_begun(
        self, order: RenderOrder, frames: Sequence[int], files: dict[int, list[FileSeen | None]], look: Look
    ) -> int:
        """Note which frames have begun; returns the place of the last of them, -1 for none."""
        last, at = -1, None
        for place, frame in enumerate(frames):
            if frame in order.unsure and not all(file is not None and file.size > 0 for file in files[frame]):
                continue
            claim = look.files.get(self._renderer.skip_file(frame))
            is_own_file = self._renderer.skip_file(frame) in {pattern.name(frame) for pattern in self._patterns}
            if claim is not None and (claim.size == 0 or not is_own_file):
                order.begun.setdefault(frame, claim.mtime)
            if claim is not None or any(file is not None for file in files[frame]):
                # Also where there is something in its file: some renderers write as they go, and some never end.
                last, at = place, frame
        if at is not None and at != order.at:
            load_s = None
            if order.at is None and order.made == 0 and order.began_at is not None and at in order.begun:
                load_s = self._clock.seconds(order.begun[at] - order.began_at)
            order.at = at
            self._tell(Began(at, load_s))
        return last

    def _fetch(
        self,
        order: RenderOrder,
        files: dict[int, list[FileSeen | None]],
        passed: dict[int, bool],
        look: Look,
        *,
        tells_bad: bool,
    ) -> None:
        parts, machine = self._parts, self._machine
        incoming = parts.folder.incoming(machine.number)
        most = parts.batch.check.max_frame_bytes
        fit = [frame for frame in passed if not self._too_large(frame, files[frame])]
        wanted = [pattern.name(frame) for frame in fit for pattern in self._patterns]
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
        order: RenderOrder,
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
        too_large = self._too_large(frame, seen)
        verdict = Verdict(too_large) if too_large else parts.folder.judge(frame, incoming, machine.node_id)
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
            self._tell(Bad(frame, verdict.flaw, is_full(look)))
        return True

    def _too_large(self, frame: int, files: Sequence[FileSeen | None]) -> str:
        """What is too large of a frame, as one clause; empty when nothing is. It is not fetched."""
        most = self._parts.batch.check.max_frame_bytes
        for pattern, file in zip(self._patterns, files, strict=True):
            if file is not None and file.size > most:
                return f"{pattern.name(frame)} is {shown_size(file.size)}, and the limit {shown_size(most)}"
        return ""

    def _seconds(self, order: RenderOrder, frame: int, done_at: float) -> tuple[float | None, float | None]:
        """What a frame took, and what the first one of its processes did, in seconds, where it can be told."""
        if order.last_at is None:
            began_at = order.begun.get(frame, order.began_at)
            return None, None if began_at is None else self._ours(order, done_at - began_at)
        # From file to file: what a scene or an add-on does after one was saved is paid for too.
        return self._ours(order, done_at - order.last_at), None

    def _ours(self, order: RenderOrder, told: float) -> float:
        """Seconds of ours: no frame took longer than its order has, whatever a machine says of its times."""
        most = math.inf if order.ordered_at is None else self._parts.clock.monotonic() - order.ordered_at
        return min(self._clock.seconds(told), most)


def is_full(look: Look) -> bool:
    """Whether a machine's disk is full, as far as it tells."""
    return look.free_bytes is not None and look.free_bytes < _FULL_BYTES
