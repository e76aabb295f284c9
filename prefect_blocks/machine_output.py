"""What a flow run's machine prints: on the worker's terminal, and in the flow run's own log where that is wanted.

It is a stranger's text. It comes here with nothing in it but text; here the flow run's secrets are masked, and what
goes to Prefect's API is bounded: a chatty machine must not flood a server that all flow runs share.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from prefect.logging.handlers import APILogHandler

from octa_provider.job.secret_envs import without_values
from octa_provider.text.plain_text import plain_words

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

__all__ = ["FlowRunLog", "MachineOutput"]

TAIL_LINES = 30
#: Lines that go to Prefect's API at once, so many a second later, and so many of one flow run in all.
BURST_LINES = 200
LINES_PER_S = 5.0
MOST_LINES = 20_000
#: Of one line.
MOST_CHARS = 2_000


class FlowRunLog:
    """A flow run's log in Prefect's API, and nowhere else: lines that are too many are counted, and left out.

    Args:
        flow_run: whose log it is.
        now: seconds of a clock that is never set.
    """

    def __init__(self, flow_run: FlowRun, now: Callable[[], float]) -> None:
        self._flow_run = flow_run
        self._now = now
        self._handler = APILogHandler()
        self._room = float(BURST_LINES)
        self._at = now()
        self._sent = 0
        self._left_out = 0
        self._first = ""

    def begin_anew(self, why: str) -> None:
        """Say, before the next line and only if there is one, that the output comes from its beginning.

        How far whoever followed it before had come died with him.

        Args:
            why: in a few words.
        """
        self._first = f"({why}: the machine's output from its beginning; what stands above of it comes again)"

    def line(self, line: str) -> None:
        """Send a line, or count it as left out.

        Args:
            line: with nothing in it but text, and no secret.
        """
        now = self._now()
        self._room = min(BURST_LINES, self._room + (now - self._at) * LINES_PER_S)
        self._at = now
        # What is said of those that were left out takes room too.
        needed = 1 + bool(self._left_out) + bool(self._first)
        if self._room < needed or self._sent >= MOST_LINES:
            self._left_out += 1
            return
        self._room -= needed
        self._sent += 1
        if self._first:
            self._send(self._first)
            self._first = ""
        self.tell_left_out()
        self._send(line if len(line) <= MOST_CHARS else f"{line[:MOST_CHARS]}... ({len(line)} characters)")

    def tell_left_out(self) -> None:
        """Say how many lines were left out since the last one, if any were."""
        if self._left_out:
            self._send(
                f"({self._left_out} lines of the machine are left out here: at most {LINES_PER_S:g} a second and "
                f"{MOST_LINES} in all go to Prefect)"
            )
            self._left_out = 0

    def _send(self, text: str) -> None:
        record = logging.LogRecord("prefect.flow_runs.machine", logging.INFO, __file__, 0, "%s", (text,), None)
        record.flow_run_id = str(self._flow_run.id)
        self._handler.emit(record)


class MachineOutput:
    """Where the lines of one flow run's machine go.

    Args:
        name: the flow run's, which stands in front of each line on the terminal.
        secrets: environment variables whose values are masked.
        on_terminal: whether lines are printed.
        log: the flow run's log, where they go there too.

    Attributes:
        last_lines: the last of them, for whoever tells of the machine's end.
    """

    def __init__(
        self, name: str, secrets: Mapping[str, str], *, on_terminal: bool = True, log: FlowRunLog | None = None
    ) -> None:
        self.last_lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._name = plain_words(name)
        self._secrets = dict(secrets)
        self._on_terminal = on_terminal
        self._log = log

    def line(self, line: str) -> None:
        """A line of the machine's.

        Args:
            line: with nothing in it but text.
        """
        line = without_values(line, self._secrets)
        self.last_lines.append(line)
        if self._log is not None:
            self._log.line(line)
        if self._on_terminal:
            self._on_terminal = _printed(f"{self._name} | {line}")

    def taken_over_by(self, worker_name: str) -> None:
        """What this machine has printed before may have come here already, by another worker.

        Args:
            worker_name: of the worker that follows it from now on.
        """
        if self._log is not None:
            self._log.begin_anew(f"worker {plain_words(worker_name)} has taken over")

    def ended(self) -> None:
        """There are no more."""
        if self._log is not None:
            self._log.tell_left_out()


def _printed(line: str) -> bool:
    """Print a line; returns whether there is anything left to print to."""
    try:
        try:
            print(line, flush=True)
        except UnicodeEncodeError:
            print(line.encode("ascii", "backslashreplace").decode(), flush=True)
    except (OSError, ValueError):
        # The terminal was closed.
        return False
    return True
