"""The log of a job: its new lines, the exit marker among them, and what says that there will never be one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from octa_provider.errors import OctaCancelledError, OctaConfigError, OctaError, OctaNotFoundError, OctaSshError
from octa_provider.files.local_files import expanded
from octa_provider.files.whole_file import whole_file
from octa_provider.job.result import JobOutcome
from octa_provider.job.script import lacks_shell, read_marker
from octa_provider.job.state import JobPhase, JobState
from octa_provider.logs.file_log import FileLog, FilePart
from octa_provider.logs.session_log import SessionLog
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import plain
from octa_provider.timing.asking import is_transient
from octa_provider.timing.outage import outages

if TYPE_CHECKING:
    from octa_provider.api.api import Api

log = plain_logger("octa_provider.job.log")

LAST_LINES_S = 300.0
LINE_BYTES = 64 * 1024
#: The exit marker begins so. What comes behind it, whole or not, is no progress, and may hold the nonce.
MARK = "[octa-job "
NO_SHELL = "the image has no /bin/sh, which runs the command: use an image that has a shell"


def read_job_log(
    api: Api,
    state: JobState,
    *,
    on_line: Callable[[str], object] | None = None,
    on_unfinished: Callable[[str], object] | None = None,
    recent: bool = False,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> tuple[JobState, bool]:
    """Read the log on from where the state is.

    Args:
        api: the API.
        state: the job.
        on_line: called with each new line of the command's output, control characters neutralised.
        on_unfinished: called with the states of a line that has not ended; see `Jobs.run`.
        recent: the session has finished.
        is_cancelled: asked while the log arrives; when it says yes the look is cut short.

    Returns:
        The state with the new place in the log; of phase `EXITED` when the marker was there, and ended when the image
        turned out to have no shell. And whether the log could be read.
    """

    session_log = _log_of(api, state, on_unfinished=_without_mark(on_unfinished))
    read = True
    if recent:
        lines = session_log.last_lines(LAST_LINES_S, is_cancelled)
    else:
        lines = session_log.new_lines(is_cancelled=is_cancelled)
    try:
        # Of a finished session nothing more will come, so that also an unfinished line counts.
        for line in lines:
            state = _told(line, state, on_line)
    except OctaCancelledError:
        read = False
    except OctaError as error:
        # A 404: not there yet, or the session has just ended, which the next look at it will tell.
        if not is_transient(error) and not isinstance(error, OctaNotFoundError):
            raise
        if isinstance(error, OctaNotFoundError):
            log.debug("no log of %s now: %s", state.key, error)
        else:
            outages.failed(error, api.clock, f"the log of {state.key} is read")
        read = False
    # Also after an error: lines that were given must not come a second time.
    state = state.having(log=session_log.cursor)
    if state.phase is not JobPhase.EXITED and any(lacks_shell(entry.message) for entry in session_log.system):
        return state.ending(JobOutcome.FAILED, NO_SHELL), read
    return state, read


def read_file_log(
    api: Api,
    state: JobState,
    read: Callable[[int], FilePart],
    *,
    on_line: Callable[[str], object] | None = None,
    on_unfinished: Callable[[str], object] | None = None,
) -> tuple[JobState, bool]:
    """As `read_job_log`, from the file on the machine that a command over SSH prints into: only what is new in it.

    Args:
        api: masks its key.
        state: the job.
        read: reads the file from an offset on.
        on_line, on_unfinished: as in `read_job_log`.
    """
    tell = _without_mark(on_unfinished)

    def shown(line: str) -> str:
        return api.masked(plain(line))

    def tell_unfinished(text: str) -> None:
        if tell is not None and (text := shown(text)):
            tell(text)

    is_read = True
    unfinished = None if tell is None else tell_unfinished
    file_log = FileLog(read, state.log, unfinished, api.transport.secret or "")
    try:
        for line in file_log.new_lines():
            state = _told(shown(line), state, on_line)
    except (OctaCancelledError, OctaSshError) as error:
        log.debug("the log of %s could not be read to its end: %s", state.key, error)
        is_read = False
    return state.having(log=file_log.cursor), is_read


def save_job_log(
    api: Api,
    state: JobState,
    path: str | os.PathLike[str],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Write the whole output of the command to a file, as the API tells it, without the exit marker.

    Args:
        api: the API.
        state: the job.
        path: the file, which is whole or left as it was.
        is_cancelled: asked while the log arrives.

    Raises:
        OctaCancelledError: `is_cancelled` said yes.
        OctaError, OSError: the log can't be read, or the file not written.
    """
    _write(_log_of(api, state.having(log=None)).last_lines(LAST_LINES_S, is_cancelled), state.nonce, path)


def save_fetched_log(fetched: Path, state: JobState, path: str | os.PathLike[str]) -> None:
    """Write the output of a command over SSH to a file, from the log that was fetched, without the exit marker.

    Args:
        fetched: the log as the machine has kept it.
        state: the job.
        path: the file, which is whole or left as it was.
    """
    with fetched.open("rb") as file:
        lines = (piece.decode("utf-8", "replace").removesuffix("\n") for piece in _pieces(file))
        _write((plain(line) for line in lines), state.nonce, path)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The lines; one without an end could be any size, so that a long one comes in pieces."""
    held = b""
    while piece := file.readline(LINE_BYTES):
        piece = held + piece
        held = b""
        if not piece.endswith(b"\n") and b"\r" in piece:
            # A progress bar, however long it goes on: what is drawn anew is the same line.
            drawn = piece.rstrip(b"\r")
            held = drawn[drawn.rfind(b"\r") + 1 :] + piece[len(drawn) :][:1]
            if len(held) < LINE_BYTES:
                continue
            piece, held = held, b""
        yield piece
    if held:
        yield held


def _write(lines: Iterable[str], nonce: str, path: str | os.PathLike[str]) -> None:
    try:
        target = expanded(path)
    except OctaConfigError as error:
        raise OSError(str(error)) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all, so that nobody takes a part for the log.
    with whole_file(target) as file:
        for line in lines:
            marker = read_marker(line, nonce)
            if marker is None or marker.before:
                file.write(f"{line if marker is None else marker.before}\n".encode())


def _without_mark(on_unfinished: Callable[[str], object] | None) -> Callable[[str], object] | None:
    if on_unfinished is None:
        return None

    def tell(text: str) -> None:
        if printed := text.partition(MARK)[0]:
            on_unfinished(printed)

    return tell


def _told(line: str, state: JobState, on_line: Callable[[str], object] | None) -> JobState:
    """The state after a line that has been told: of phase `EXITED` when it was the marker."""
    marker = read_marker(line, state.nonce)
    if marker is not None and state.phase is not JobPhase.EXITED:
        state = state.having(phase=JobPhase.EXITED, exit_code=marker.exit_code, timed_out=marker.timed_out)
    text = line if marker is None else marker.before
    if on_line is not None and (marker is None or text):
        on_line(text)
    return state


def _log_of(api: Api, state: JobState, on_unfinished: Callable[[str], object] | None = None) -> SessionLog:
    return SessionLog(api, state.rental.uuid, cursor=state.log, on_unfinished=on_unfinished)
