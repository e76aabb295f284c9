"""How an output folder is opened for a batch: whose it is, what was asked for before, what lies in it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from octa_provider.batch.batch import Batch
from octa_provider.batch.folder.batch_record import BatchRecord
from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.fingerprint import Inputs
from octa_provider.batch.folder.history import History
from octa_provider.batch.folder.journal import Journal, JournalLines
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.lines import Line, RunLine, SceneLine
from octa_provider.batch.folder.lock import FolderLock
from octa_provider.batch.folder.placing import sync_folder
from octa_provider.batch.folder.remove_tree import remove_tree
from octa_provider.batch.folder.settling import Settled, settle
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import shown
from octa_provider.render.frame_files import FilePattern

__all__ = ["OpenedBatch", "open_batch"]

_NAMED = 5


@dataclass
class OpenedBatch:
    """A folder that was opened.

    Attributes:
        layout: its places.
        record: what was asked for.
        history: what has happened.
        journal: open for more.
        lock: held.
        settled: what was found of frames that were accepted before.
    """

    layout: Layout
    record: BatchRecord
    history: History
    journal: Journal
    lock: FolderLock
    settled: Settled


def open_batch(batch: Batch, fingerprint: str, key: str) -> OpenedBatch:
    """Open the output folder of a batch.

    Args:
        batch: what is asked for.
        fingerprint: of its frames.
        key: the work key of its rentals; what one of an earlier run has left is ended by who takes over.

    Raises:
        OctaConfigError: another process renders into it, it holds frames of another scene or none of ours, or there is
            no such scene.
        OctaLocalFileError: the disk refuses, or what lies there can't be read.
    """
    layout = Layout.of(batch.output_path)
    patterns = [FilePattern(text) for text in batch.renderer.files]
    _check_apart(layout, batch.scene_path)
    _make_folders(layout)
    lock = FolderLock(layout.lock)
    lock.take()
    try:
        record, is_new = _record(layout, batch, fingerprint, key)
        journal = Journal(layout.journal)
        try:
            history = History(fingerprint, record.frames, len(patterns))
            earlier = JournalLines(layout.journal)
            history.replay(earlier)
            lines: list[Line] = []
            if history.current != fingerprint:
                lines.append(SceneLine(fingerprint))
                history.add(lines[-1])
            settled = settle(layout, history.accepted, patterns, journal, replaces=batch.on_changed == "replace")
            # A frame whose line is damaged lies there too: it is rendered again, and put aside then.
            if batch.on_changed == "refuse" and not (earlier.damaged or earlier.is_torn):
                _refuse_others(layout, patterns, batch.numbers, history, settled)
            if is_new:
                record.write(layout.batch)
            lines.append(RunLine(time.time(), len(batch.numbers)))
            journal.append(*lines)
            history.add(lines[-1])
            sync_folder(layout.state)
            sync_folder(layout.output)
            _wipe(layout.incoming)
            return OpenedBatch(layout, record, history, journal, lock, settled)
        except BaseException:
            journal.close()
            raise
    except BaseException:
        lock.release()
        raise


def _check_apart(layout: Layout, scene: Path) -> None:
    """The scene's folder is sent whole to each machine, and makes the fingerprint: frames can't lie within it."""
    output, sent = layout.output.resolve(), scene.resolve()
    if sent.is_dir() and output.is_relative_to(sent):
        raise OctaConfigError(
            f"{shown(layout.output)} lies within {shown(scene)}, all of which is sent to each machine: "
            "take an output folder beside it"
        )


def _make_folders(layout: Layout) -> None:
    for one in (layout.output, layout.state):
        if os.path.lexists(one) and not one.is_dir():
            raise OctaConfigError(f"{shown(one)} is no folder: take another output folder, or move it away")
    with disk_errors("made", layout.output):
        layout.output.mkdir(parents=True, exist_ok=True)
        layout.state.mkdir(exist_ok=True)


def _record(layout: Layout, batch: Batch, fingerprint: str, key: str) -> tuple[BatchRecord, bool]:
    """What is asked for, with what was asked for before, and whether the folder knows another batch, or none.

    Of the same batch, other terms and more frames are kept when a plan is followed: a resume does not take what was
    refused.
    """
    earlier = BatchRecord.read(layout.batch)
    if earlier is not None and earlier.fingerprint == fingerprint:
        if earlier.key != key:
            # At once: whoever looks for its machines looks under this key. The other terms are kept with the plan.
            replace(earlier, key=key).write(layout.batch)
        return BatchRecord.of(batch, fingerprint, key, earlier.inputs).with_frames_of(earlier), False
    inputs = Inputs.of(batch.scene_path, batch.main_file, batch.renderer)
    if inputs.fingerprint != fingerprint:
        raise OctaConfigError(f"{shown(batch.scene_path)} changed while it was looked at: save it, and run it again")
    if earlier is not None and batch.on_changed == "refuse":
        raise OctaConfigError(
            f"{shown(layout.output)} holds frames that were rendered from another scene "
            f"({inputs.changes_since(earlier.inputs)}): take another output folder, bring back what it was, "
            'or replace them (on_changed="replace")'
        )
    return BatchRecord.of(batch, fingerprint, key, inputs), True


def _refuse_others(
    layout: Layout, patterns: Sequence[FilePattern], numbers: Sequence[int], history: History, settled: Settled
) -> None:
    """Refuse files under the names of frames that are asked for, where this batch did not render them."""
    known = {*settled.changed, *settled.gone}
    names: list[str] = []
    count = 0
    for name in _names_in_the_way(layout, patterns, numbers, history, known):
        count += 1
        if count <= _NAMED:
            names.append(shown(name))
    if count:
        more = f" and {count - _NAMED} more" if count > _NAMED else ""
        raise OctaConfigError(
            f"{shown(layout.output)} holds {', '.join(names)}{more}, which this batch did not render: move them away, "
            'take another output folder, or replace them (on_changed="replace")'
        )


def _names_in_the_way(
    layout: Layout, patterns: Sequence[FilePattern], numbers: Sequence[int], history: History, known: set[int]
) -> Iterator[str]:
    output = str(layout.output)
    for frame in numbers:
        if frame in history.accepted or frame in known:
            continue
        for pattern in patterns:
            name = pattern.name(frame)
            if os.path.lexists(f"{output}/{name}"):
                yield name


def _wipe(incoming: Path) -> None:
    """What was being fetched when a run died is fetched again."""
    with disk_errors("emptied", incoming):
        if incoming.is_symlink() or incoming.is_file():
            incoming.unlink()
        elif incoming.exists():
            remove_tree(incoming)
        incoming.mkdir()
