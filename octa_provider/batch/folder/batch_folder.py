"""`BatchFolder`: the output folder of a batch, held by the one who renders into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.batch.batch import Batch
from octa_provider.batch.folder.accepted import AcceptedFrames
from octa_provider.batch.folder.bad_pictures import keep_bad
from octa_provider.batch.folder.batch_book import BatchBook, clause
from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.expected import expected_of
from octa_provider.batch.folder.judge import Verdict, judge_files
from octa_provider.batch.folder.lines import OF_DIGITS, FileLine, FrameLine, KindLine, Line, RefusedLine, SeenLine
from octa_provider.batch.folder.opening import OpenedBatch, open_batch
from octa_provider.batch.folder.placing import is_there, is_whole, make_durable, place_files, sync_folder
from octa_provider.batch.folder.remove_tree import remove_tree
from octa_provider.batch.folder.results import write_results
from octa_provider.batch.folder.settling import times_of
from octa_provider.batch.folder.work import Made, Spans
from octa_provider.errors import OctaConfigError, OctaLocalFileError
from octa_provider.files.local_files import shown
from octa_provider.render.frame_files import FilePattern
from octa_provider.render.frames_check import FileCheck

if TYPE_CHECKING:
    from octa_provider.batch.plan import PlanLine
    from octa_provider.rental.terms import Bill

__all__ = ["BatchFolder"]

#: Written to the journal at once.
_LINES = 10_000


class BatchFolder(BatchBook):
    """The output folder of a batch. Use `BatchFolder.open`, as a context manager: it holds the folder's lock.

    Whatever changes is in the journal, and on the disk, before it counts. Each method raises OctaLocalFileError when
    the disk refuses; then nothing has changed.

    Args:
        batch: what is asked for.
        opened: its folder, opened.

    Attributes:
        path: the folder, absolute.
        key: the work key of the batch's rentals.
        changed: frames that were accepted and written over by somebody since; they are rendered again, and what lies
            there is put aside then.
        gone: frames that were accepted and are missing since.
    """

    def __init__(self, batch: Batch, opened: OpenedBatch) -> None:
        super().__init__(opened.history, opened.journal)
        self._batch = batch
        self._layout = opened.layout
        self._record = opened.record
        self._lock = opened.lock
        self._first_kind: tuple[KindLine, ...] = ()
        self._patterns = [FilePattern(text) for text in batch.renderer.files]
        self.path = opened.layout.output
        self.key = opened.record.key
        self.changed = tuple(opened.settled.changed)
        self.gone = tuple(opened.settled.gone)

    def planned(self, line: PlanLine) -> None:
        """A run follows this plan: from now on a resume goes on with what it was made for.

        Args:
            line: the plan's line that was chosen.
        """
        self._record.write(self._layout.batch)
        super().planned(line)

    @classmethod
    def open(cls, batch: Batch, fingerprint: str, key: str) -> BatchFolder:
        """Open the folder, or begin a new one; what a crash left half done is finished.

        Args:
            batch: what is asked for.
            fingerprint: of its frames, from `fingerprint_of`.
            key: the work key of its rentals.

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
        super().close()
        self._lock.release()

    @property
    def accepted(self) -> AcceptedFrames:
        """The accepted frames of all runs: a set of numbers."""
        return self.history.accepted

    def seconds_seen(self) -> Iterator[tuple[int, float, float | None]]:
        """Of each accepted frame that tells it: the node, what it took in seconds, and the node's score."""
        accepted, machines = self.history.accepted, self.history.machines
        for frame in accepted:
            if (seconds := accepted.seconds(frame)) is not None:
                machine = machines.get(accepted.slot(frame))
                yield accepted.node_id(frame), seconds, None if machine is None else machine.score

    def renting(self, slot: int, node_id: int, key: str) -> None:
        """As of `BatchBook`; nothing is rented for a folder that is gone."""
        self._check_place()
        super().renting(slot, node_id, key)

    def incoming(self, slot: int) -> Path:
        """The folder where a machine's files arrive; made when missing.

        Args:
            slot: the machine's number in the batch.

        Raises:
            OctaLocalFileError: the disk refuses, or the output folder was moved or removed.
        """
        self._check_place()
        folder = self._layout.incoming_of(slot)
        if not folder.is_dir():
            with disk_errors("made", folder):
                folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
        return folder

    def judge(self, frame: int, folder: Path, node_id: int, sums: Mapping[str, str] | None = None) -> Verdict:
        """Look at a copy of a frame that arrived. Nothing is changed; it can be called in a thread.

        Args:
            frame: its number.
            folder: where its files are, under the names that the renderer gives them.
            node_id: the machine that it came from.
            sums: the SHA-256 that files have on that machine, by their names; those that are told must be right.
        """
        kind = self._kind
        others = self.history.one_colour.get(frame, {})
        verdict = judge_files(
            folder,
            self._names(frame),
            frame,
            expected_of(self._batch.check, self.measurement, kind, len(self._patterns)),
            self._batch.check,
            confirmed=[why for node, why in others.items() if node != node_id],
            sums=sums or {},
        )
        if kind or not verdict.is_whole:
            return verdict
        with self.changing:
            if not self._kind:
                self._first_kind = tuple(map(_kind, verdict.files))
                return verdict
        # Another one was the first meanwhile, and this one must be like it.
        return self.judge(frame, folder, node_id, sums)

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
            OctaLocalFileError: the disk refuses, the output folder was moved or removed, or the files are not as they
                were judged; the frame is not accepted.
        """
        if frame in self.accepted:
            return False
        names = self._names(frame)
        if verdict.flaw or len(verdict.seen) != len(names):
            raise OctaConfigError(f"frame {frame} can't be accepted: {verdict.flaw or 'it was not judged'}")
        if not self.accepted.is_asked(frame):
            raise OctaConfigError(f"frame {frame} can't be accepted: nobody asked for it")
        self._check_place()
        try:
            make_durable(folder, names, verdict.seen)
        except OctaLocalFileError:
            # In whose words this is told better, should it have been moved at this moment.
            self._check_place()
            raise
        line = FrameLine(
            frame=frame,
            slot=made.slot,
            node_id=made.node_id,
            of=self._record.fingerprint[:OF_DIGITS],
            files=tuple(
                FileLine(file.bytes, seen.mtime_ns, file.sha256)
                for file, seen in zip(verdict.files, verdict.seen, strict=True)
            ),
            seconds=made.seconds,
            tries=made.tries,
            came=self._below_incoming(folder),
            kind=() if self.history.kind else tuple(map(_kind, verdict.files)),
        )
        with self.changing:
            if frame in self.accepted:
                return False
            self.journal.append(line)
            place_files(folder, self.path, names, None if self._batch.on_changed == "replace" else self._layout.changed)
            self.history.add(line)
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
        self.add(RefusedLine(frame, made.slot, made.node_id, clause(why), made.seconds))
        keep_bad(folder, self._names(frame), self._layout.bad, frame=frame, slot=made.slot)

    def ended(self, slot: int, bill: Bill | None, spans: Spans, why: str) -> None:
        """As of `BatchBook`; what the machine had not handed over is removed."""
        super().ended(slot, bill, spans, why)
        with suppress(OSError):
            remove_tree(self._layout.incoming_of(slot))

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
            as_it_was = is_there(str(self.path), self._patterns, self.accepted, frame)
            if as_it_was and self.accepted.is_checked(frame):
                continue
            if not all(is_whole(self.path / name, file) for name, file in zip(names, files, strict=True)):
                self.accepted.drop(frame)
                missing.append(frame)
                continue
            self.accepted.mark_checked(frame)
            if not as_it_was:
                seen.append(SeenLine(frame, times_of(self.path, names)))
            if len(seen) >= _LINES:
                self.add(*seen)
                seen.clear()
        if seen:
            self.add(*seen)
        return missing

    def write_results(self) -> None:
        """Write `manifest.json`, `frames.jsonl` and `cost.csv`, each whole or not at all."""
        write_results(self._layout, self._record, self.history)

    def _check_place(self) -> None:
        """Frames here and their journal elsewhere would be no batch: each frame would be rendered, and paid, again."""
        if not self.journal.is_in_place():
            raise OctaLocalFileError(
                f"{shown(self.path)} was moved or removed while it was rendered into: put it back, or go on where it "
                "is now, with `octa-provider render --resume` and its path"
            )

    @property
    def _kind(self) -> tuple[KindLine, ...]:
        """What the first whole frame was like, whether it is accepted yet or not; empty before there was one."""
        return self.history.kind or self._first_kind

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
