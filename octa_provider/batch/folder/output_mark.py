"""Whether an output folder can hold a batch, and whether it is the same folder for whoever comes next.

A retry, a second worker, the step after a plan: each goes on with what lies in the folder. One that sees another folder
under the same path would render, and pay for, everything again.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.lock import FolderLock
from octa_provider.batch.folder.placing import sync_folder
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import expanded, shown
from octa_provider.files.whole_file import whole_file
from octa_provider.text.plain_text import plain_words

__all__ = ["check_mark", "check_output", "leave_mark"]

_MOST_BYTES = 1000


def check_output(output: str | os.PathLike[str]) -> Path:
    """Whether frames can be put there for certain; tried with a file of its own, before any money is spent.

    Args:
        output: the folder; made when missing.

    Returns:
        The folder, absolute.

    Raises:
        OctaConfigError: it is an address of object storage, or no folder.
        OctaLocalFileError: its disk can't make, lock, rename or remove a file.
    """
    if "://" in str(output) or not isinstance(output, str | Path):
        raise OctaConfigError(
            f"output must be a folder of a file system that every worker sees, not {plain_words(str(output))[:200]}: a "
            "frame is put in place by a rename that can't be half done, and a lock keeps a second run out, and object "
            "storage has neither. Render into a folder, and copy it when the batch is whole"
        )
    layout = Layout.of(expanded(output))
    for one in (layout.output, layout.state):
        if os.path.lexists(one) and not one.is_dir():
            raise OctaConfigError(f"{shown(one)} is no folder: take another output folder, or move it away")
    with disk_errors("made", layout.output):
        layout.output.mkdir(parents=True, exist_ok=True)
        layout.state.mkdir(exist_ok=True)
    tried = layout.state / f"try-{secrets.token_hex(8)}"
    lock = FolderLock(tried)
    try:
        lock.take()
        lock.release()
        with disk_errors("written", tried), whole_file(tried) as file:
            file.write(b"a file that is tried\n")
            os.fsync(file.fileno())
        sync_folder(layout.state)
    finally:
        lock.release()
        with disk_errors("removed", tried):
            tried.unlink(missing_ok=True)
    return layout.output


def leave_mark(output: str | os.PathLike[str]) -> str:
    """Mark the folder, so that whoever comes next can tell that it is this one; a folder keeps its first mark.

    Args:
        output: the folder; made when missing.

    Returns:
        The mark, to be handed on.

    Raises:
        OctaConfigError, OctaLocalFileError: as `check_output`.
    """
    layout = Layout.of(check_output(output))
    if found := _found(layout):
        return found
    mark = f"{secrets.token_hex(8)} {plain_words(socket.gethostname())[:100]}"
    ours = layout.state / f"mark-{secrets.token_hex(8)}"
    try:
        with disk_errors("written", layout.mark):
            with whole_file(ours) as file:
                file.write(mark.encode())
                os.fsync(file.fileno())
            # Of two that mark it at once, both go on with the first one's.
            with suppress(FileExistsError):
                _place(ours, layout.mark)
    finally:
        ours.unlink(missing_ok=True)
    sync_folder(layout.state)
    return _found(layout)


def check_mark(output: str | os.PathLike[str], mark: str) -> None:
    """Whether a folder is the one that somebody else has marked.

    Args:
        output: the folder.
        mark: what `leave_mark` returned there.

    Raises:
        OctaConfigError: it is another one, or not to be seen from here.
        OctaLocalFileError: it can't be read.
    """
    layout = Layout.of(expanded(output))
    if _found(layout) == mark:
        return
    host = plain_words(mark.partition(" ")[2]) or "the worker before"
    raise OctaConfigError(
        f"{shown(layout.output)} on {plain_words(socket.gethostname())} is not the folder that {host} has marked: "
        "output must be on storage that every worker sees, else each try would render, and pay for, everything again"
    )


def _place(file: Path, place: Path) -> None:
    """Put a file at a place where none is."""
    try:
        place.hardlink_to(file)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        file.rename(place)


def _found(layout: Layout) -> str:
    with disk_errors("read", layout.mark):
        try:
            with layout.mark.open("rb") as file:
                return file.read(_MOST_BYTES).decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return ""
