"""A file that arrives whole or not at all: written beside its place, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias

from octa_provider.errors import OctaConfigError

__all__ = ["PRIVATE", "Target", "save_whole", "whole_file"]

Target: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
#: Of a file that is its owner's business alone.
PRIVATE = 0o600


@contextmanager
def whole_file(path: str | os.PathLike[str], *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A file to write to, for the length of a `with` block; at its end it takes its place, after an error it is gone.

    A link stays, and what it leads to is replaced. A device or a pipe is refused: it is none to replace.

    Args:
        path: where the file belongs; its folder is there.
        mode: its permissions; None takes those of the file that is replaced, else what this user's umask leaves.

    Yields:
        The file, open for reading and writing.

    Raises:
        OSError: it can't be written, or not put into its place.
    """
    final = Path(os.path.realpath(path))
    if final.exists() and not final.is_file():
        number = errno.EISDIR if final.is_dir() else errno.EINVAL
        raise OSError(number, "is a folder" if final.is_dir() else "is a device or a pipe, no file", os.fspath(final))
    # Not made of its name, which may be as long as a name can be.
    part = final.with_name(f".octa-{secrets.token_hex(8)}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(part, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
        if mode is None:
            with suppress(FileNotFoundError):
                part.chmod(stat.S_IMODE(final.stat().st_mode))
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


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
    with whole_file(final, mode=PRIVATE) as file:
        return fill(file)
