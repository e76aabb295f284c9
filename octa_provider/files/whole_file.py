"""A file that arrives whole or not at all: written beside its place, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeAlias

from octa_provider.errors import OctaConfigError

Target: TypeAlias = "str | os.PathLike[str] | IO[bytes]"


def save_whole(target: Target, fill: Callable[[IO[bytes]], int]) -> int:
    """Let `fill` write a temporary file, and hand it over only when it returned.

    Args:
        target: a path, which is replaced, or an open binary file, which gets the bytes.
        fill: writes to the file it is given and returns the number of bytes; whatever it raises leaves `target` alone.

    Returns:
        What `fill` returned.

    Raises:
        OctaConfigError: the path's folder does not exist, or the path is a folder; `fill` is not called.
    """
    if not isinstance(target, (str, os.PathLike)):
        with tempfile.TemporaryFile() as file:
            size = fill(file)
            file.seek(0)
            shutil.copyfileobj(file, target)
        return size
    final = Path(target)
    if not final.parent.is_dir():
        raise OctaConfigError(f"{final.parent} is not a folder: make it first, or download to another path")
    if final.is_dir():
        raise OctaConfigError(f"{final} is a folder: name the file to write")
    handle, name = tempfile.mkstemp(dir=final.parent, prefix=".octa-", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            size = fill(file)
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)
    return size
