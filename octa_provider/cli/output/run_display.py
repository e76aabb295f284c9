"""What `octa-provider run` shows while a job runs: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from octa_provider.cli.options.connection import tell
from octa_provider.cli.output.progress_bar import WithBar
from octa_provider.cli.output.streams import drop, is_gone
from octa_provider.cli.output.wording import shown_lines, shown_text
from octa_provider.job.state import JobPhase

if TYPE_CHECKING:
    from octa_provider.job.state import JobState
    from octa_provider.remote.transfer import TransferProgress
    from octa_provider.render.progress import ProgressTracker

#: Without a bar, how far a transfer is comes as a line, so often.
TELL_EVERY_S = 10.0
_WORDS = {
    JobPhase.STARTING: "session {uuid} starts on node {node}",
    JobPhase.READY: "session {uuid} on node {node} is ready: sending files",
    JobPhase.RUNNING: "the command runs on node {node}",
    JobPhase.EXITED: "the command has ended on node {node}: collecting",
    JobPhase.COLLECTED: "stopping session {uuid}",
}


class RunDisplay(WithBar):
    """The job's own output as it comes, and on standard error how far the job is.

    Args:
        tracker: turns lines into a fraction.
        out: where the job's output goes.

    Attributes:
        has_reader: False once the other end of the pipe that `out` is has been closed.
    """

    def __init__(self, tracker: ProgressTracker, out: TextIO) -> None:
        self._tracker = tracker
        self._out = out
        self._is_dropped = False
        self.has_reader = True
        self._phase: JobPhase | None = None
        self._told_at = time.monotonic()
        super().__init__("renting a machine")

    def line(self, text: str) -> None:
        """One line of the job's output.

        What can't be shown does not end the job: a terminal that was closed, a disk that is full, a closed stream.
        That nobody reads any more, as after `| head`, does: see `has_reader`.
        """
        try:
            if self.bar is not None and self._out.isatty():
                # Above the bar. `out` lets markup and colours of the job alone.
                self.bar.console.out(shown_lines(text), highlight=False)
            else:
                print(shown_lines(text), file=self._out, flush=True)
        except BrokenPipeError:
            self.has_reader = False
            drop(self._out)
        except (OSError, ValueError) as error:
            drop(self._out)
            if not self._is_dropped and not (isinstance(error, OSError) and is_gone(error)):
                why = (isinstance(error, OSError) and error.strerror) or error
                tell(f"octa-provider: the command's output can't be shown: {why}. The job goes on; see --log")
            self._is_dropped = True
        self._move(self._tracker.feed(text))

    def unfinished(self, text: str) -> None:
        """How a line stands that has not ended, such as a progress bar: it moves the bar, and is no output yet."""
        self._move(self._tracker.feed_unfinished(text))

    def _move(self, fraction: float | None) -> None:
        if fraction is not None and self.bar is not None and self.task is not None:
            with suppress(OSError, ValueError):
                self.bar.update(self.task, total=1.0, completed=fraction)

    def transfer(self, progress: TransferProgress) -> None:
        """How far the files are that move."""
        text = shown_text(str(progress))
        if self.bar is not None and self.task is not None:
            with suppress(OSError, ValueError):
                self.bar.update(
                    self.task, description=text, total=progress.bytes_total or None, completed=progress.bytes_done
                )
        elif time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._told_at = time.monotonic()
            tell(text)

    def notice(self, text: str) -> None:
        """A sentence about what is done now, which takes the place of how far the job is."""
        if self.bar is not None and self.task is not None:
            # The time that has passed and the bar stand for the job.
            self.bar.update(self.task, description=text, total=None, completed=0)
        else:
            tell(text)

    def told(self, text: str) -> None:
        """A sentence that stays, above the bar where there is one."""
        if self.bar is not None:
            with suppress(OSError, ValueError):
                self.bar.console.out(text, highlight=False)
        else:
            tell(text)

    def state(self, state: JobState) -> None:
        """How far the job has come."""
        if state.phase is self._phase:
            return
        self._phase = state.phase
        terms = state.rental
        text = _WORDS[state.phase].format(uuid=shown_text(terms.uuid), node=shown_text(terms.node_id))
        if self.bar is not None and self.task is not None:
            with suppress(OSError, ValueError):
                self.bar.update(self.task, description=text)
                if state.phase is JobPhase.RUNNING:
                    # What was sent is no part of what the command does. What it has told before this stays.
                    told = self._tracker.fraction
                    self.bar.update(self.task, total=None if told is None else 1.0, completed=told or 0.0)
        else:
            tell(text)
