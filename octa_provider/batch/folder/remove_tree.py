"""Taking away what a stranger's machine sent: a folder of it can be closed even to its owner."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["remove_tree"]


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it; links are removed, and never followed.

    Args:
        folder: which; one that is not there is no error.

    Raises:
        OSError: the system refuses.
    """
    opened: set[str] = set()

    def open_it(remove: Callable[..., Any], path: str, problem: Any) -> None:
        above = path if remove is os.scandir or remove is os.open else os.path.dirname(path)  # noqa: PTH120
        if isinstance(problem[1], FileNotFoundError):
            return
        if above in opened or os.path.islink(above):  # noqa: PTH114
            raise problem[1]
        opened.add(above)
        os.chmod(above, 0o700)  # noqa: PTH101
        shutil.rmtree(path, onerror=open_it)

    shutil.rmtree(folder, onerror=open_it)
