"""Following a session's log while it runs, and to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaCancelledError, OctaError, OctaNotFoundError
from octa_provider.http.urls import path_of
from octa_provider.logs.cursor import LogCursor
from octa_provider.logs.log_end import once_yes, whether_ended
from octa_provider.logs.log_stream import read_system, spool_logs
from octa_provider.logs.new_lines import LogFollower
from octa_provider.logs.spool import MOST_BYTES
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import plain
from octa_provider.timing.asking import ask_until, asked_pause, is_transient
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.limits import checked_pause, checked_seconds
from octa_provider.timing.outage import outages

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.models import SystemEntry

__all__ = ["SessionLog", "follow", "system_entries"]

log = plain_logger("octa_provider.logs.session_log")

SLICE_S = 1.0
#: A log of any size may come in one look, but no look keeps its caller longer than this.
LOOK_S = 600.0
#: Through an outage the end of a log is asked for again for so long.
OUTAGE_S = 60.0


class SessionLog:
    """A session's log, read as it grows: each line once, in order, as plain text.

    Memory and disk stay bounded whatever the container prints; the text of each look goes to a temporary file, a GB at
    most. So does time: a look ends at its deadline, or when the log comes slower than 16 KB a second for as long as the
    client's timeout. A look that was cut short gives no lines and moves no cursor; the next one reads all of them.

    Args:
        api: the API.
        uuid: the session.
        cursor: where an earlier follower was, here or in another process; from the start when left out.
        folder: where temporary files go; give one on a disk where the system's choice is in memory.
        most_bytes: so much of a log is kept at most; of a longer one, or where the disk is full, the end.
        on_unfinished: called with the states of a line that is drawn anew, as a progress bar, while it has not ended;
            see `LogFollower`. None of them is a line of the log.

    Attributes:
        system: the platform's entries of the last look.
    """

    def __init__(
        self,
        api: Api,
        uuid: str,
        *,
        cursor: LogCursor | None = None,
        folder: Path | None = None,
        most_bytes: int = MOST_BYTES,
        on_unfinished: Callable[[str], object] | None = None,
    ) -> None:
        self._api = api
        self._path = path_of("services", uuid, "logs")
        self._on_unfinished = on_unfinished
        self._follower = LogFollower(cursor, on_unfinished=None if on_unfinished is None else self._tell_unfinished)
        self._folder = folder
        self._most_bytes = most_bytes
        self.uuid = uuid
        self.system: tuple[SystemEntry, ...] = ()

    @property
    def cursor(self) -> LogCursor:
        """How far it is; `to_dict()` makes a JSON value of it."""
        return self._follower.cursor

    def new_lines(
        self,
        *,
        recent: bool = False,
        is_last: bool = False,
        deadline_s: float = LOOK_S,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[str]:
        """One look: the complete lines that are new. Nothing is tried again.

        Args:
            recent: for a session that has finished.
            is_last: nothing more will be printed, so that also half a character at the end counts.
            deadline_s: seconds until the whole log must have come.
            is_cancelled: asked about twice a second while it comes.

        Raises:
            OctaNotFoundError: there is no such log: not yet, or only with `recent`.
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: the request failed, did not end in time, or the answer is not what it must be.
        """
        deadline = Deadline(self._api.clock, checked_seconds("deadline_s", max(0.0, deadline_s)))
        api = self._api.within(deadline, is_cancelled)
        params = {"recent": "true"} if recent else None
        with api.stream(self._path, params=params) as chunks:
            logs = spool_logs(chunks, folder=self._folder, most_bytes=self._most_bytes, secret=api.transport.secret)
        with logs:
            self.system = logs.system or self.system
            yield from self._plain(self._follower.feed(logs.container, is_last=is_last))

    def lines_now(self, deadline_s: float = LOOK_S, is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """All that is new as it is now, the unfinished last line included: of a session that runs, or has finished.

        Args:
            deadline_s: seconds until the whole log must have come.
            is_cancelled: asked about twice a second while it comes.

        Raises:
            OctaNotFoundError: there is no such log.
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: the request failed, did not end in time, or the answer is not what it must be.
        """
        try:
            yield from self.new_lines(is_last=True, deadline_s=deadline_s, is_cancelled=is_cancelled)
        except OctaNotFoundError:
            yield from self.new_lines(recent=True, is_last=True, deadline_s=deadline_s, is_cancelled=is_cancelled)
        yield from self._plain(self._follower.finish())

    def last_lines(self, deadline_s: float = LOOK_S, is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """What is left when the session is done, the unfinished last line included.

        Asks for the finished session's log and the running one's, since either may be gone; asks again through outages
        of a minute.

        Args:
            deadline_s: seconds for all of it.
            is_cancelled: asked about twice a second while it comes.

        Raises:
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: the log could not be read in time. What was held stays held, for another call.
        """
        deadline = Deadline(self._api.clock, checked_seconds("deadline_s", deadline_s))
        asking_ends = deadline.earlier(OUTAGE_S)
        for recent in (True, False):

            def look(recent: bool = recent) -> Iterator[str]:
                lines = self.new_lines(
                    recent=recent, is_last=True, deadline_s=deadline.left_s, is_cancelled=is_cancelled
                )
                return _first(lines)

            # Lines of a look that breaks off half way are given when it is tried again, and only then.
            yield from ask_until(asking_ends, look)
        yield from self._plain(self._follower.finish())

    def follow(
        self,
        *,
        until: Callable[[], object] | None = None,
        poll_s: float = 5.0,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[str]:
        """Lines as they come, until the session is done. Outages slow it down and do not end it.

        Args:
            until: asked after each look and about every second, also while a look is under way; when it says yes, what
                is left comes and that is the end. When left out: until the session has ended.
            poll_s: seconds between two looks.
            is_cancelled: asked as often; when it says yes, that is the end at once.

        Raises:
            OctaCancelledError: `is_cancelled` said yes.
            OctaAuthenticationError, OctaForbiddenError: the key was refused.
            OctaError: the end of the log could not be read.
        """
        poll_s = checked_pause("poll_s", poll_s)
        done = until or whether_ended(self._api, self.uuid)
        # The caller's question costs nothing, and one yes is enough; ours is a request.
        asked = once_yes(until) if until else lambda: False
        while True:
            pause_s = poll_s
            try:
                yield from self.new_lines(is_cancelled=lambda: asked() or is_cancelled())
            except OctaCancelledError:
                # Then it is done, or was cancelled, which is told below.
                log.debug("a look at the log of session %s was cut short", self.uuid)
            except OctaNotFoundError as error:
                log.debug("no log of session %s now: %s", self.uuid, error)
            except OctaError as error:
                if not is_transient(error):
                    raise
                outages.failed(error, self._api.clock, f"the log of session {self.uuid} is followed")
                pause_s = max(poll_s, asked_pause(error) or 0.0)
            self._refuse_cancelled(is_cancelled)
            pause = Deadline(self._api.clock, pause_s)
            ended = asked() or done()
            while not ended and not pause.passed:
                pause.pause(SLICE_S)
                self._refuse_cancelled(is_cancelled)
                ended = asked()
            if ended:
                yield from self.last_lines(is_cancelled=is_cancelled)
                return

    def _refuse_cancelled(self, is_cancelled: Callable[[], bool]) -> None:
        if is_cancelled():
            raise OctaCancelledError(f"following the log of session {self.uuid} was cancelled")

    def _plain(self, lines: Iterator[str]) -> Iterator[str]:
        return map(self._shown, lines)

    def _shown(self, line: str) -> str:
        # A container that prints its environment must not carry the key into a log.
        return self._api.masked(plain(line))

    def _tell_unfinished(self, state: str) -> None:
        if self._on_unfinished is not None and (text := self._shown(state)):
            self._on_unfinished(text)


def system_entries(api: Api, uuid: str, *, recent: bool = False) -> tuple[SystemEntry, ...]:
    """The platform's last entries about a session. What its container printed passes by, and is kept nowhere.

    Args:
        api: the API.
        uuid: the session.
        recent: for a session that has finished.

    Raises:
        OctaNotFoundError: there is no such log: not yet, or only with `recent`.
        OctaError: the request failed, did not end in time, or the answer is not what it must be.
    """
    params = {"recent": "true"} if recent else None
    with api.stream(path_of("services", uuid, "logs"), params=params) as chunks:
        return read_system(chunks)


def follow(
    api: Api,
    uuid: str,
    *,
    on_line: Callable[[str], object],
    until: Callable[[], object] | None = None,
    cursor: LogCursor | None = None,
    poll_s: float = 5.0,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> LogCursor:
    """Hand each line of a session's log to `on_line` until the session is done. See `SessionLog` for the parts.

    Args:
        api: the API.
        uuid: the session.
        on_line: told each line once, as plain text. What it raises ends the following and is raised here.
        until: when it says yes, what is left comes and that is the end; until the session has ended when left out.
        cursor: where an earlier follower was.
        poll_s: seconds between two looks.
        is_cancelled: asked about every second; when it says yes, OctaCancelledError ends the following.

    Returns:
        How far it came, to carry on from.
    """
    session_log = SessionLog(api, uuid, cursor=cursor)
    for line in session_log.follow(until=until, poll_s=poll_s, is_cancelled=is_cancelled):
        on_line(line)
    return session_log.cursor


def _first(lines: Iterator[str]) -> Iterator[str]:
    """The same lines, with the request behind them made now; nothing where there is no such log."""
    try:
        first = next(lines, None)
    except OctaNotFoundError:
        return iter(())
    return iter(()) if first is None else _chain(first, lines)


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
