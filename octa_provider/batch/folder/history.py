"""What a batch's journal amounts to: its lines, one after the other, made one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from octa_provider.batch.folder.accepted import AcceptedFrames
from octa_provider.batch.folder.lines import (
    OF_DIGITS,
    BilledLine,
    FrameLine,
    GivenUpLine,
    KindLine,
    Line,
    MeasuredLine,
    PlannedLine,
    RefusedLine,
    RentedLine,
    RentingLine,
    RunLine,
    SceneLine,
    SeenLine,
)
from octa_provider.batch.folder.machines import MachineRecord
from octa_provider.batch.folder.work import Measured
from octa_provider.render.pixels import ONE_COLOUR_FLAW

__all__ = ["History"]

#: The last refusals are told; each of them is in the journal.
_MOST_REFUSALS = 1000


class History:
    """The state of a batch, from its journal.

    Args:
        fingerprint: of the batch. Of another one in the same folder only the rentals that have not ended count.
        numbers: the frames of all runs, ascending.
        files: how many files a frame has.

    Attributes:
        accepted: the accepted frames.
        kind: what the first accepted frame's files were like.
        machines: the batch's rentals, by their numbers.
        others: rentals of another batch in the same folder that have not ended.
        failed: frames that were given up in this run, and why.
        tried: the nodes that gave no whole copy of a frame, by frame.
        one_colour: what one colour which node gave a frame, by frame.
        refusals: the last refused copies.
        lost: what copies took that count no more or never did, by the machine's number, in seconds; None where nothing
            tells.
        measured: what the first machine told.
        plan: the plan that is followed, as a JSON value.
        current: the fingerprint that the journal was last about; empty before the first.
        last_slot: the highest number that a machine had; -1 before the first.
        runs: how many runs there were.
        began_at: Unix time of the first run's begin.
    """

    def __init__(self, fingerprint: str, numbers: Sequence[int], files: int) -> None:
        self._of = fingerprint[:OF_DIGITS]
        self.accepted = AcceptedFrames(numbers, files)
        self.kind: tuple[KindLine, ...] = ()
        self.others: dict[int, MachineRecord] = {}
        self.current = ""
        self.last_slot = -1
        self.machines: dict[int, MachineRecord] = {}
        self._begin()

    def _begin(self) -> None:
        self.failed: dict[int, str] = {}
        self.tried: dict[int, tuple[int, ...]] = {}
        self.one_colour: dict[int, dict[int, str]] = {}
        self.refusals: list[RefusedLine] = []
        self.lost: dict[int, list[float | None]] = {}
        self.measured: Measured | None = None
        self.plan: dict[str, Any] | None = None
        self.runs = 0
        self.began_at: float | None = None
        self.others.update({slot: one for slot, one in self.machines.items() if not one.has_ended})
        self.machines = {}

    @property
    def open_rentals(self) -> dict[int, tuple[str, str | None]]:
        """Key and session of each rental that has not been seen ended, by its number; those of other scenes too."""
        known = [*self.others.items(), *self.machines.items()]
        return {slot: (one.key, one.uuid) for slot, one in known if not one.has_ended}

    @property
    def cost_wei(self) -> int | None:
        """What all machines were charged, in wei; None where the API does not tell of one of them."""
        told = [one.charge_wei for one in self.machines.values() if one.uuid is not None or one.charge_wei is not None]
        return None if any(one is None for one in told) else sum(one or 0 for one in told)

    @property
    def spent_wei(self) -> int:
        """The same; of a machine that the API does not tell of, what its time would have cost."""
        return sum(_spent(one) for one in self.machines.values())

    @property
    def cost_usd(self) -> float | None:
        """The same in USD, for display; None where it is not known of one of them."""
        told = [one.charge_usd for one in self.machines.values() if one.uuid is not None or one.charge_wei is not None]
        return None if any(one is None for one in told) else sum(one or 0.0 for one in told)

    def replay(self, lines: Iterable[Line]) -> None:
        """Read a journal.

        Args:
            lines: its lines, in order.
        """
        for line in lines:
            if type(line) is FrameLine:
                self._accept(line)
            else:
                self.add(line)

    def add(self, line: Line) -> None:
        """One more thing that happened.

        Args:
            line: what.
        """
        if isinstance(line, FrameLine):
            self._accept(line)
        elif isinstance(line, SeenLine):
            self.accepted.seen(line.frame, line.mtimes_ns)
        elif isinstance(line, RefusedLine):
            self._refuse(line)
        elif isinstance(line, GivenUpLine):
            self.failed[line.frame] = line.why
        elif isinstance(line, RentingLine):
            self._machine(line.slot, line.node_id).key = line.key
        elif isinstance(line, RentedLine):
            self._rented(line)
        elif isinstance(line, BilledLine):
            self._ended(line)
        elif isinstance(line, MeasuredLine):
            self.measured = line.measured
        elif isinstance(line, PlannedLine):
            self.plan = line.plan
        elif isinstance(line, SceneLine):
            self.current = line.fingerprint
            self._begin()
        else:
            self._run(line)

    def _accept(self, line: FrameLine) -> None:
        if line.of != self._of:
            return
        if self.accepted.was_put(line.frame):
            # Rendered again: the first copy is gone, and was paid for.
            self._lose(self.accepted.slot(line.frame), self.accepted.seconds(line.frame))
        self.accepted.put(line)
        if line.kind and not self.kind:
            self.kind = line.kind
        if self.failed or self.tried or self.one_colour:
            self.failed.pop(line.frame, None)
            self.tried.pop(line.frame, None)
            self.one_colour.pop(line.frame, None)

    def _refuse(self, line: RefusedLine) -> None:
        if line.frame not in self.accepted:
            self.tried[line.frame] = (*self.tried.get(line.frame, ()), line.node_id)
            if ONE_COLOUR_FLAW in line.why:
                self.one_colour.setdefault(line.frame, {})[line.node_id] = line.why
        self.refusals.append(line)
        del self.refusals[:-_MOST_REFUSALS]
        self._lose(line.slot, line.seconds)
        self._machine(line.slot, line.node_id).refused += 1

    def _lose(self, slot: int, seconds: float | None) -> None:
        self.lost.setdefault(slot, []).append(seconds)

    def _rented(self, line: RentedLine) -> None:
        machine = self._machine(line.slot, line.node_id)
        machine.uuid, machine.score = line.uuid, line.score
        machine.price_wei, machine.price_usd = _wei(line.price_wei), line.price_usd

    def _ended(self, line: BilledLine) -> None:
        machine = self.others.get(line.slot) or self._machine(line.slot, 0)
        machine.has_ended, machine.why, machine.spans = True, line.why, line.spans
        machine.uuid = line.uuid or machine.uuid
        # A later look that tells nothing takes nothing away.
        if line.charge_wei is not None:
            machine.charge_wei, machine.charge_usd = _wei(line.charge_wei), line.charge_usd
            machine.duration_s = line.duration_s

    def _run(self, line: RunLine) -> None:
        self.runs += 1
        if self.began_at is None:
            self.began_at = line.at
        # Whoever runs it again wants the frames tried again that were given up.
        for frame in self.failed:
            self.tried.pop(frame, None)
        self.failed.clear()

    def _machine(self, slot: int, node_id: int) -> MachineRecord:
        self.last_slot = max(self.last_slot, slot)
        return self.machines.setdefault(slot, MachineRecord(slot, node_id))


def _spent(machine: MachineRecord) -> int:
    if machine.charge_wei is not None:
        return machine.charge_wei
    spans = machine.spans
    lived_s = spans.start_s + spans.transfer_s + spans.render_s + spans.idle_s
    return int((machine.price_wei or 0) * lived_s / 3600)


def _wei(text: str | None) -> int | None:
    return None if text is None or not text.isascii() or not text.isdigit() else int(text)
