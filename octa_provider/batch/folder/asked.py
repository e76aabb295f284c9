"""Which frames were asked for in a folder, and what their files are called: for those who look at it afterwards."""

from __future__ import annotations

import os
from dataclasses import dataclass

from octa_provider.batch.folder.batch_record import BatchRecord
from octa_provider.batch.folder.layout import Layout
from octa_provider.files.local_files import expanded
from octa_provider.render.frames import Frames

__all__ = ["Asked", "asked_of"]


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        frames: those of all runs.
        files: the names of a frame's files.
    """

    frames: Frames
    files: tuple[str, ...]


def asked_of(output: str | os.PathLike[str]) -> Asked | None:
    """What was asked for in a folder; None where no batch was rendered into it.

    Args:
        output: the folder.

    Raises:
        OctaLocalFileError: what the batch has kept can't be read.
    """
    layout = Layout.of(expanded(output))
    record = BatchRecord.read(layout.batch) if layout.state.is_dir() else None
    return None if record is None else Asked(Frames(record.frames), tuple(record.renderer["files"]))
