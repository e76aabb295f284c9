"""The lock of an output folder: one coordinator renders into it, and a second is refused by the first one's name."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import shown
from octa_provider.text.plain_text import plain_words

__all__ = ["FolderLock", "holder_of"]

#: Whoever only looks whether it is held holds it for a moment.
_LOOKS = 5
_LOOK_S = 0.05
_MOST_BYTES = 4096


class FolderLock:
    """Held from `take` to `release`. The system lets go of it when the process dies, however it dies.

    The file stays: what is locked is the file, and what stands in it is only who locked it. So neither a file that
    a dead process left nor a number that another process has got since means anything.

    Args:
        path: the lock's file, in a folder that exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> None:
        """Take it.

        Raises:
            OctaConfigError: another process has it; which, where, whose and since when is in the message.
            OctaLocalFileError: the file can't be made, or its disk knows no locks.
        """
        with disk_errors("locked", self._path):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            with disk_errors("locked", self._path):
                is_ours = _is_taken(descriptor)
            if not is_ours:
                raise OctaConfigError(
                    f"{shown(self._path.parent.parent)} is being rendered into by {_said(descriptor)}: "
                    "wait for it, end it, or take another folder"
                )
            with disk_errors("written", self._path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _ourselves(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of it; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def holder_of(path: Path) -> str:
    """Who holds a folder's lock, in words; empty when nobody does. Changes nothing.

    Args:
        path: the lock's file.
    """
    fcntl = _fcntl()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(descriptor)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return ""


def _fcntl() -> Any:
    """The system's locks: where there are none, all else of this package still works."""
    try:
        return import_module("fcntl")
    except ImportError as error:
        raise OctaConfigError("rendering into a folder needs a system with flock, such as Linux or macOS") from error


def _is_taken(descriptor: int) -> bool:
    fcntl = _fcntl()
    for _ in range(_LOOKS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK_S)
        else:
            return True
    return False


def _ourselves() -> bytes:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A user that the system has no name for, as in many a container.
        user = str(os.getuid())
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "user": user, "since": since}).encode()


def _said(descriptor: int) -> str:
    try:
        told = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
        pid, host, user, since = (plain_words(str(told[name]))[:100] for name in ("pid", "host", "user", "since"))
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"
    return f"process {pid} on {host} (user {user}, since {since})"
