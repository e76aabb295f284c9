"""Whether what a journal says is accepted lies there: what a crash left half done is finished, what is gone is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from octa_provider.batch.folder.accepted import AcceptedFrames
from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.journal import Journal, JournalLines
from octa_provider.batch.folder.judge import FileIdentity, identity_of
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.lines import FileLine, FrameLine, SeenLine
from octa_provider.batch.folder.placing import is_there, is_whole, place_files
from octa_provider.render.frame_files import FilePattern

__all__ = ["Settled", "settle", "times_of"]

#: Written to the journal at once: a folder that was copied has other times throughout.
_LINES = 10_000


@dataclass
class Settled:
    """What was found.

    Attributes:
        finished: frames whose renaming a crash had cut short.
        gone: frames of which a file is missing.
        changed: frames of which a file was written over.
    """

    finished: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)


def settle(
    layout: Layout,
    accepted: AcceptedFrames,
    patterns: Sequence[FilePattern],
    journal: Journal,
    *,
    replaces: bool,
) -> Settled:
    """Look for each accepted frame. Those that are not there are accepted no more.

    Args:
        layout: the folder's places.
        accepted: what the journal says; it is changed.
        patterns: the names of a frame's files.
        journal: gets the times of files that have others than before, and the same contents.
        replaces: whether what is in the way of a frame is replaced, and not put aside.

    Raises:
        OctaLocalFileError: the disk refuses.
    """
    settled = Settled()
    output = str(layout.output)
    doubtful: list[int] = []
    seen: list[SeenLine] = []
    for frame in accepted:
        if not is_there(output, patterns, accepted, frame):
            doubtful.append(frame)
    came = _where_they_came(layout, doubtful)
    for frame in doubtful:
        names = [pattern.name(frame) for pattern in patterns]
        files = accepted.files(frame)
        here = [is_whole(layout.output / name, file) for name, file in zip(names, files, strict=True)]
        arrived = layout.incoming / came[frame] if frame in came else None
        late = [one for one, is_here in zip(zip(names, files, strict=True), here, strict=True) if not is_here]
        if late and (arrived is None or not all(_is_waiting(arrived, name, file) for name, file in late)):
            is_missing = any(not (layout.output / name).exists() for name, _ in late)
            (settled.gone if is_missing else settled.changed).append(frame)
            accepted.drop(frame)
            continue
        if late and arrived is not None:
            aside = None if replaces else layout.changed
            place_files(arrived, layout.output, [name for name, _ in late], aside)
            settled.finished.append(frame)
        seen.append(SeenLine(frame, times_of(layout.output, names)))
        accepted.seen(frame, seen[-1].mtimes_ns)
        accepted.mark_checked(frame)
        if len(seen) >= _LINES:
            journal.append(*seen)
            seen.clear()
    if seen:
        journal.append(*seen)
    return settled


def times_of(output: Path, names: Sequence[str]) -> tuple[int, ...]:
    """When each file of a frame was changed last, in ns.

    Args:
        output: the folder of the frames.
        names: of the files.
    """
    with disk_errors("read", output):
        return tuple((output / name).stat().st_mtime_ns for name in names)


def _where_they_came(layout: Layout, frames: Sequence[int]) -> dict[int, str]:
    """Where the files of these frames lay when they were accepted, below `incoming`."""
    if not frames or not layout.incoming.is_dir():
        return {}
    wanted = frozenset(frames)
    return {
        line.frame: line.came
        for line in JournalLines(layout.journal)
        if isinstance(line, FrameLine) and line.frame in wanted and ".." not in PurePosixPath(line.came).parts
    }


def _is_waiting(folder: Path, name: str, file: FileLine) -> bool:
    return isinstance(identity_of(folder, name), FileIdentity) and is_whole(folder / name, file)
