"""Files that a triggerer has fetched, looked for again on the worker that comes back for them.

Before a triggerer fetches anything it has seen the worker's own mark in each folder. That was another moment, and
perhaps another worker: a disk can go, and two computers can have another one under the same name. Nothing of the
machine is left then, so no task succeeds before its files have been seen.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import counted

__all__ = ["LOOK_S", "fetched_here", "missing_text"]

#: A disk over the network may show another computer's files so much later.
LOOK_S = 90.0
PAUSE_S = 3.0


def fetched_here(outputs: Sequence[str], log_path: str | None) -> dict[str, Any]:
    """What a worker needs to look for files again, as a JSON value; in the triggerer that has fetched them.

    Args:
        outputs: the files that are told to the worker.
        log_path: where the command's output was written to, if it was.
    """
    log_size = None if log_path is None else _size(log_path)
    return {
        "host": socket.gethostname(),
        "sizes": [_size(path) for path in outputs],
        **({} if log_size is None else {"log": [log_path, log_size]}),
    }


def missing_text(
    outputs: Sequence[str], fetched: Mapping[str, Any], *, pause: Callable[[float], object] = time.sleep
) -> str | None:
    """What this worker does not see of what a triggerer has fetched, as a sentence; None when all of it is here.

    Args:
        outputs: the files, as the event tells them.
        fetched: from `fetched_here`.
        pause: waits so many seconds; what is not seen at once may come.
    """
    wanted = dict(zip(outputs, fetched["sizes"], strict=True))
    if "log" in fetched:
        path, size = fetched["log"]
        wanted[path] = size
    end = time.monotonic() + LOOK_S
    while missing := [path for path, size in wanted.items() if _size(path) != size]:
        if time.monotonic() >= end:
            return (
                f"the triggerer on host {plain_words(str(fetched['host']))} has fetched {counted(len(wanted), 'file')} "
                f"to its own disk, and this worker on host {socket.gethostname()} does not see {len(missing)} of them, "
                f"such as {plain_words(missing[0])}: fetch them there, and give both the same disk, or set "
                "files_in_trigger=False"
            )
        pause(PAUSE_S)
    return None


def _size(path: str) -> int | None:
    # Opened, since what is cached of a disk over the network is asked for anew then.
    with suppress(OSError), open(path, "rb") as file:
        return os.fstat(file.fileno()).st_size
    return None
