"""The log of a job: its new lines, the exit marker among them, and what says that there will never be one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaCancelledError, OctaError, OctaNotFoundError
from octa_provider.following import SessionLog
from octa_provider.job_script import lacks_shell, read_marker
from octa_provider.job_state import JobOutcome, JobPhase, JobState
from octa_provider.log_follower import LogCursor
from octa_provider.outage import outages
from octa_provider.patience import is_transient
from octa_provider.plain_log import plain_logger
from octa_provider.plain_text import plain

if TYPE_CHECKING:
    from octa_provider.client import OctaClient

log = plain_logger("octa_provider.job_log")

LAST_LINES_S = 300.0
LINE_BYTES = 64 * 1024
NO_SHELL = "the image has no /bin/sh, which runs the command: use an image that has a shell"


def read_job_log(
    client: OctaClient,
    state: JobState,
    *,
    on_line: Callable[[str], object] | None = None,
    recent: bool = False,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> tuple[JobState, bool]:
    """Read the log on from where the state is.

    Args:
        client: the API.
        state: the job.
        on_line: called with each new line of the command's output, control characters neutralised.
        recent: the session has finished.
        is_cancelled: asked while the log arrives; when it says yes the look is cut short.

    Returns:
        The state with the new place in the log; of phase `EXITED` when the marker was there, and ended when the image
        turned out to have no shell. And whether the log could be read.
    """
    session_log = _log_of(client, state)
    read = True
    if recent:
        lines = session_log.last_lines(LAST_LINES_S, is_cancelled)
    else:
        lines = session_log.new_lines(is_cancelled=is_cancelled)
    try:
        # Of a finished session nothing more will come, so that also an unfinished line counts.
        for line in lines:
            marker = read_marker(line, state.nonce)
            if marker is not None and state.phase is not JobPhase.EXITED:
                state = state.having(phase=JobPhase.EXITED, exit_code=marker.exit_code, timed_out=marker.timed_out)
            text = line if marker is None else marker.before
            if on_line is not None and (marker is None or text):
                on_line(text)
    except OctaCancelledError:
        read = False
    except OctaError as error:
        # A 404: not there yet, or the session has just ended, which the next look at it will tell.
        if not is_transient(error) and not isinstance(error, OctaNotFoundError):
            raise
        if isinstance(error, OctaNotFoundError):
            log.debug("no log of %s now: %s", state.key, error)
        else:
            outages.failed(error, client.clock, f"the log of {state.key} is read")
        read = False
    # Also after an error: lines that were given must not come a second time.
    state = state.having(log=session_log.cursor.to_dict())
    if state.phase is not JobPhase.EXITED and any(lacks_shell(entry.message) for entry in session_log.system):
        return state.ending(JobOutcome.FAILED, NO_SHELL), read
    return state, read


def save_job_log(
    client: OctaClient,
    state: JobState,
    path: str | os.PathLike[str],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Write the whole output of the command to a file, as the API tells it, without the exit marker.

    Raises:
        OctaCancelledError: `is_cancelled` said yes.
        OctaError, OSError: the log can't be read, or the file not written.
    """
    _write(_log_of(client, state.having(log=None)).last_lines(LAST_LINES_S, is_cancelled), state.nonce, path)


def save_fetched_log(fetched: Path, state: JobState, path: str | os.PathLike[str]) -> None:
    """Write the output of a command over SSH to a file, from the log that was fetched, without the exit marker."""
    with fetched.open("rb") as file:
        # A line without an end could be any size.
        pieces = iter(lambda: file.readline(LINE_BYTES), b"")
        lines = (piece.decode("utf-8", "replace").removesuffix("\n") for piece in pieces)
        _write((plain(line) for line in lines), state.nonce, path)


def _write(lines: Iterable[str], nonce: str, path: str | os.PathLike[str]) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            for line in lines:
                marker = read_marker(line, nonce)
                if marker is None or marker.before:
                    file.write(f"{line if marker is None else marker.before}\n")
        # Whole or not at all, so that nobody takes a part for the log.
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _log_of(client: OctaClient, state: JobState) -> SessionLog:
    cursor = None if state.log is None else LogCursor.from_dict(state.log)
    return SessionLog(client, state.rental["uuid"], cursor=cursor)
