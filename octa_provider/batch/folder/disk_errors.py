"""Errors of this machine's disk, as one clear sentence each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from octa_provider.errors import OctaLocalFileError
from octa_provider.files.local_files import shown

__all__ = ["disk_errors", "is_full"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def disk_errors(what: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """For the length of a `with` block, tell what the system refuses as OctaLocalFileError.

    Args:
        what: what was to be done, as in `can't be <what>`: `written`.
        path: to which file or folder.

    Raises:
        OctaLocalFileError: the system refused.
    """
    try:
        yield
    except OSError as error:
        said = f"{shown(path)} can't be {what}: {error.strerror or error}"
        if error.errno in _FULL:
            said += "; make room and run it again: accepted frames are kept"
        raise OctaLocalFileError(said) from error


def is_full(error: BaseException) -> bool:
    """Whether a disk that is full, or a quota, is behind an error of `disk_errors`.

    Args:
        error: what was raised.
    """
    cause = error.__cause__
    return isinstance(error, OctaLocalFileError) and isinstance(cause, OSError) and cause.errno in _FULL
