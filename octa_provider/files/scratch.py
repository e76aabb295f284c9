"""Folders for what is written for a moment, or has no place of its own: on the first disk that takes it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from octa_provider.errors import OctaLocalFileError

__all__ = ["SCRATCH_PLACES", "in_scratch"]

T = TypeVar("T")
#: A temporary folder is often a small disk of its own, or full; a user may have no home.
SCRATCH_PLACES: tuple[Callable[[], str | Path], ...] = (tempfile.gettempdir, Path.home, Path.cwd)


def in_scratch(work: Callable[[Path], T]) -> T:
    """Do something in a new folder, which is removed afterwards: on the first disk that has room for it.

    Args:
        work: handed the folder; done again on the next disk when it raises `OctaLocalFileError`.

    Returns:
        What `work` returned.

    Raises:
        OctaLocalFileError: no folder of this machine can be written to, or none has room.
    """
    refused: OctaLocalFileError | None = None
    for place in SCRATCH_PLACES:
        try:
            folder = tempfile.mkdtemp(prefix="octa-", dir=place())
        except (OSError, RuntimeError):
            continue
        try:
            return work(Path(folder))
        except OctaLocalFileError as error:
            refused = error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    raise refused or OctaLocalFileError("no folder of this machine can be written to")
