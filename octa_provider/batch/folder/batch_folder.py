"""`BatchFolder`: the output folder of a batch, held by the one who renders into it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.batch.batch import Batch
from octa_provider.batch.folder.accepted import AcceptedFrames
from octa_provider.batch.folder.bad_pictures import keep_bad
from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.expected import expected_of
from octa_provider.batch.folder.judge import Verdict, judge_files
from octa_provider.batch.folder.lines import (
    BilledLine,
    FileLine,
    FrameLine,
    GivenUpLine,
    KindLine,
    Line,
    MeasuredLine,
    PlannedLine,
    RefusedLine,
    RentedLine,
    RentingLine,
    SeenLine,
)
from octa_provider.batch.folder.opening import OpenedBatch, open_batch
from octa_provider.batch.folder.placing import is_there, is_whole, make_durable, place_files
from octa_provider.batch.folder.results import write_results
from octa_provider.batch.folder.settling import times_of
from octa_provider.batch.folder.work import Made, Measured, Spans
from octa_provider.errors import OctaConfigError
from octa_provider.render.frame_files import FilePattern
from octa_provider.render.frames_check import FileCheck
from octa_provider.text.plain_text import plain_words

if TYPE_CHECKING:
    from octa_provider.batch.plan import PlanLine
    from octa_provider.rental.terms import Bill

__all__ = ["BatchFolder"]

_MOST_WHY_CHARS = 500


class BatchFolder:
    """The output folder of a batch. Use `BatchFolder.open`, as a context manager: it holds the folder's lock.

    Whatever changes is in the journal, and on the disk, before it counts. Each method raises OctaLocalFileError when
    the disk refuses; then nothing has changed.

    Args:
        batch: what is asked for.
        opened: its folder, opened.

    Attributes:
        path: the folder, absolute.
        key: the work key of the batch's rentals: that of its first run.
        changed: frames that were accepted and written over by somebody since; they are rendered again, and what lies
            there is put aside then.
        gone: frames that were accepted and are missing since.
    """

    def __init__(self, batch: Batch, opened: OpenedBatch) -> None:
        self._batch = batch
        self._layout = opened.layout
        self._record = opened.record
        self._history = opened.history
        self._journal = opened.journal
        self._lock = opened.lock
        self._patterns = [FilePattern(text) for text in batch.renderer.files]
        self.path = opened.layout.output
        self.key = opened.record.key
        self.changed = tuple(opened.settled.changed)
        self.gone = tuple(opened.settled.gone)

    @classmethod
    def open(cls, batch: Batch, fingerprint: str, key: str) -> BatchFolder:
        """Open the folder, or begin a new one; what a crash left half done is finished.

        Args:
            batch: what is asked for.
            fingerprint: of its frames, from `fingerprint_of`.
            key: the work key of its rentals, for a new one.

        Raises:
            OctaConfigError: another process renders into it, or it holds frames of another scene, or that no batch of
                ours made; named are the files and settings that changed.
            OctaLocalFileError: the disk refuses, or what lies there can't be read.
        """
        return cls(batch, open_batch(batch, fingerprint, key))

    def __enter__(self) -> BatchFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder; a second time does nothing."""
        self._journal.close()
        self._lock.release()

    @property
    def accepted(self) -> AcceptedFrames:
        """The accepted frames of all runs: a set of numbers."""
        return self._history.accepted

    @property
    def failed(self) -> Mapping[int, str]:
        """The frames that were given up in this run, and why."""
        return self._history.failed

    @property
    def tried(self) -> Mapping[int, tuple[int, ...]]:
        """The nodes that gave no whole copy of a frame that is not accepted, by frame."""
        return self._history.tried

    @property
    def measurement(self) -> Measured | None:
        """What the first machine told of the scene, in this run or an earlier one."""
        return self._history.measured

    @property
    def cost_wei(self) -> int | None:
        """What all ended machines of all runs were charged, in wei; None where the API did not tell of one."""
        return self._history.cost_wei

    @property
    def cost_usd(self) -> float | None:
        """The same in USD, for display."""
        return self._history.cost_usd

    @property
    def next_slot(self) -> int:
        """The lowest number that no machine of this folder has had."""
        return self._history.last_slot + 1

    @property
    def open_rentals(self) -> dict[int, tuple[str, str | None]]:
        """Key and session of each rental without an end, by its number; the session is None where it is not known."""
        return self._history.open_rentals

    def seconds_seen(self) -> Iterator[tuple[int, float, float | None]]:
        """Of each accepted frame that tells it: the node, what it took in seconds, and the node's score."""
        accepted, machines = self._history.accepted, self._history.machines
        for frame in accepted:
            if (seconds := accepted.seconds(frame)) is not None:
                machine = machines.get(accepted.slot(frame))
                yield accepted.node_id(frame), seconds, None if machine is None else machine.score

    def incoming(self, slot: int) -> Path:
        """The folder where a machine's files arrive; made when missing.

        Args:
            slot: the machine's number in the batch.
        """
        folder = self._layout.incoming_of(slot)
        with disk_errors("made", folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def judge(self, frame: int, folder: Path, node_id: int) -> Verdict:
        """Look at a copy of a frame that arrived. Nothing is changed.

        Args:
            frame: its number.
            folder: where its files are, under the names that the renderer gives them.
            node_id: the machine that it came from.
        """
        expected = expected_of(self._batch.check, self.measurement, self._history.kind, len(self._patterns))
        others = self._history.one_colour.get(frame, {})
        confirmed = [why for node, why in others.items() if node != node_id]
        return judge_files(folder, self._names(frame), frame, expected, self._batch.check, confirmed=confirmed)

    def accept(self, frame: int, folder: Path, verdict: Verdict, made: Made) -> bool:
        """Take a whole copy of a frame: into the journal, then to its final name.

        Args:
            frame: its number.
            folder: where its files are.
            verdict: what `judge` said of it.
            made: how it came to be.

        Returns:
            Whether it is this copy that counts: False when another one was first.

        Raises:
            OctaConfigError: the copy is not whole, or the frame is not one of the batch's.
            OctaLocalFileError: the disk refuses, or the files are not as they were judged; the frame is not accepted.
        """
        if frame in self.accepted:
            return False
        names = self._names(frame)
        if verdict.flaw or len(verdict.seen) != len(names):
            raise OctaConfigError(f"frame {frame} can't be accepted: {verdict.flaw or 'it was not judged'}")
        if not self.accepted.is_asked(frame):
            raise OctaConfigError(f"frame {frame} can't be accepted: nobody asked for it")
        make_durable(folder, names, verdict.seen)
        line = FrameLine(
            frame=frame,
            slot=made.slot,
            node_id=made.node_id,
            files=tuple(
                FileLine(file.bytes, seen.mtime_ns, file.sha256)
                for file, seen in zip(verdict.files, verdict.seen, strict=True)
            ),
            seconds=made.seconds,
            tries=made.tries,
            came=self._below_incoming(folder),
            kind=() if self._history.kind else tuple(map(_kind, verdict.files)),
        )
        self._journal.append(line)
        place_files(folder, self.path, names, None if self._batch.on_changed == "replace" else self._layout.changed)
        self._history.add(line)
        self.accepted.mark_checked(frame)
        return True

    def refuse(self, frame: int, folder: Path, why: str, made: Made) -> None:
        """A copy of a frame is not whole: its files are kept among the last bad ones.

        Args:
            frame: its number.
            folder: where its files are.
            why: what is wrong with it, as `judge` said it.
            made: how it came to be.
        """
        self._add(RefusedLine(frame, made.slot, made.node_id, _clause(why), made.seconds))
        keep_bad(folder, self._names(frame), self._layout.bad, frame=frame, slot=made.slot)

    def give_up(self, frame: int, why: str) -> None:
        """A frame is not tried any more in this run.

        Args:
            frame: its number.
            why: as one clause.
        """
        self._add(GivenUpLine(frame, _clause(why)))

    def renting(self, slot: int, node_id: int, key: str) -> None:
        """A machine is about to be rented. Call it before the start: a restart knows then which numbers were used.

        Args:
            slot: the number that it gets in the batch.
            node_id: the machine.
            key: the rental key, whole.
        """
        self._add(RentingLine(slot, node_id, key))

    def rented(
        self,
        slot: int,
        uuid: str,
        node_id: int,
        price_wei: int | None,
        price_usd: float | None,
        score: float | None = None,
    ) -> None:
        """A machine is rented.

        Args:
            slot: its number in the batch.
            uuid: its session.
            node_id: the machine.
            price_wei: wei per hour; None when not known.
            price_usd: USD per hour; None when not known.
            score: the machine's, in the unit of the plan.
        """
        self._add(RentedLine(slot, node_id, uuid, _digits(price_wei), price_usd, score))

    def ended(self, slot: int, bill: Bill | None, spans: Spans, why: str) -> None:
        """A machine's rental has ended, or was seen to have ended long ago. What it had not handed over is removed.

        Args:
            slot: its number in the batch.
            bill: what it came to; None when nothing tells. It can be told again when more is known.
            spans: how its time went.
            why: why it ended, as one clause.
        """
        line = BilledLine(slot, _clause(why), spans)
        if bill is not None:
            line = BilledLine(
                slot, line.why, spans, bill.uuid, _digits(bill.charge_wei), bill.charge_usd, bill.duration_s
            )
        self._add(line)
        shutil.rmtree(self._layout.incoming_of(slot), ignore_errors=True)

    def measured(self, measured: Measured) -> None:
        """The first machine told of the scene.

        Args:
            measured: what.
        """
        self._add(MeasuredLine(measured))

    def planned(self, line: PlanLine) -> None:
        """A run follows this plan.

        Args:
            line: the plan's line that was chosen.
        """
        plan: dict[str, Any] = {name: getattr(line, name) for name in line.__dataclass_fields__ if name != "machines"}
        for name in ("cost_p50_wei", "cost_p90_wei", "cost_most_wei"):
            plan[name] = str(plan[name])
        plan["cost_usd"], plan["finish_s"] = asdict(line.cost_usd), asdict(line.finish_s)
        plan["machines"] = [
            {"node_id": one.estimate.node_id, "frames": one.frames, "rent_s": one.rent_s} for one in line.machines
        ]
        self._add(PlannedLine(plan))

    def check_whole(self) -> list[int]:
        """Look for each frame of this run once more: its files there, with the right SHA-256.

        What this process wrote and nobody touched is not read again. A frame that is not right is accepted no more.

        Returns:
            The frames that are not there, ascending; empty when the run is whole.
        """
        missing: list[int] = []
        seen: list[Line] = []
        for frame in self._batch.numbers:
            if frame not in self.accepted:
                missing.append(frame)
                continue
            names, files = self._names(frame), self.accepted.files(frame)
            as_it_was = is_there(str(self.path), names, files)
            if as_it_was and self.accepted.is_checked(frame):
                continue
            if not all(is_whole(self.path / name, file) for name, file in zip(names, files, strict=True)):
                self.accepted.drop(frame)
                missing.append(frame)
                continue
            self.accepted.mark_checked(frame)
            if not as_it_was:
                seen.append(SeenLine(frame, times_of(self.path, names)))
        if seen:
            self._add(*seen)
        return missing

    def write_results(self) -> None:
        """Write `manifest.json`, `frames.jsonl` and `cost.csv`, each whole or not at all."""
        write_results(self._layout, self._record, self._history)

    def _add(self, *lines: Line) -> None:
        self._journal.append(*lines)
        for line in lines:
            self._history.add(line)

    def _names(self, frame: int) -> list[str]:
        return [pattern.name(frame) for pattern in self._patterns]

    def _below_incoming(self, folder: Path) -> str:
        try:
            return folder.relative_to(self._layout.incoming).as_posix()
        except ValueError:
            # Where a restart does not look: should this process die now, the frame is rendered again.
            return ""


def _kind(file: FileCheck) -> KindLine:
    picture = file.picture
    assert picture is not None
    return KindLine(picture.width, picture.height, picture.stamp.scene)


def _clause(why: str) -> str:
    return plain_words(why.replace("\n", " "))[:_MOST_WHY_CHARS]


def _digits(wei: int | None) -> str | None:
    return None if wei is None else str(wei)
