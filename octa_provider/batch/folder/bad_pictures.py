"""The last refused pictures, kept for whoever wants to see what was wrong with them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from octa_provider.batch.folder.judge import FileIdentity, identity_of

__all__ = ["MOST_BAD", "MOST_BAD_BYTES", "keep_bad"]

MOST_BAD = 20
#: A larger one is not kept: refused ones never fill a disk.
MOST_BAD_BYTES = 256 * 1024 * 1024
_KEPT = re.compile(r"[^A-Za-z0-9._-]")


def keep_bad(folder: Path, names: Sequence[str], bad: Path, *, frame: int, slot: int) -> None:
    """Move the files of a refused frame aside, and let the oldest of those go. It never fails: nothing rests on it.

    Args:
        folder: where they arrived.
        names: of its files, below the folder.
        bad: where refused ones are kept.
        frame: its number.
        slot: the number of the machine that it came from.
    """
    with suppress(OSError):
        bad.mkdir(exist_ok=True)
    for name in names:
        with suppress(OSError):
            identity = identity_of(folder, name)
            if isinstance(identity, FileIdentity) and identity.bytes <= MOST_BAD_BYTES:
                os.rename(folder / name, bad / f"{frame}_m{slot}_{_KEPT.sub('_', name)}"[-200:])  # noqa: PTH104
            else:
                _remove(folder, name)
    with suppress(OSError):
        kept = sorted(bad.iterdir(), key=lambda one: one.lstat().st_ctime_ns)
        for one in kept[:-MOST_BAD]:
            one.unlink()


def _remove(folder: Path, name: str) -> None:
    """Take a file or link away that lies in folders which are no links."""
    parent = (folder / name).parent
    if parent.resolve() == folder.resolve() / parent.relative_to(folder) and not stat.S_ISDIR(
        (folder / name).lstat().st_mode
    ):
        (folder / name).unlink()
