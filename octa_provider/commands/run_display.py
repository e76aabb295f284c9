"""What `octa-provider run` shows while a job runs: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from octa_provider.commands.connection import tell
from octa_provider.commands.streams import drop, is_gone
from octa_provider.commands.wording import shown_lines, shown_text
from octa_provider.job_state import JobPhase

if TYPE_CHECKING:
    from octa_provider.job_state import JobState
    from octa_provider.progress import ProgressTracker

_WORDS = {
    JobPhase.STARTING: "session {uuid} starts on node {node}",
    JobPhase.READY: "session {uuid} on node {node} is ready: sending files",
    JobPhase.RUNNING: "the command runs on node {node}",
    JobPhase.EXITED: "the command has ended on node {node}: collecting",
    JobPhase.COLLECTED: "stopping session {uuid}",
}


class RunDisplay(AbstractContextManager["RunDisplay"]):
    """The job's own output as it comes, and on standard error how far the job is.

    Args:
        tracker: turns lines into a fraction.
        out: where the job's output goes.
    """

    def __init__(self, tracker: ProgressTracker, out: TextIO) -> None:
        self._tracker = tracker
        self._out = out
        self._phase: JobPhase | None = None
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task = None if self._bar is None else self._bar.add_task("renting a machine", total=None)

    def __enter__(self) -> RunDisplay:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with suppress(OSError, ValueError):
                # The terminal may be gone.
                self._bar.stop()

    def line(self, text: str) -> None:
        """One line of the job's output.

        Raises:
            BrokenPipeError: nobody reads it any more, as after `| head`, which ends the job.
        """
        try:
            if self._bar is not None and self._out.isatty():
                # Above the bar. `out` lets markup and colours of the job alone.
                self._bar.console.out(shown_lines(text), highlight=False)
            else:
                print(shown_lines(text), file=self._out, flush=True)
        except OSError as error:
            if not is_gone(error):
                raise
            # A terminal that was closed without ending us, as after `nohup`: the job goes on unseen.
            drop(self._out)
        fraction = self._tracker.feed(text)
        if fraction is not None and self._bar is not None and self._task is not None:
            with suppress(OSError, ValueError):
                self._bar.update(self._task, total=1.0, completed=fraction)

    def state(self, state: JobState) -> None:
        """How far the job has come."""
        if state.phase is self._phase:
            return
        self._phase = state.phase
        rental = state.rental
        text = _WORDS[state.phase].format(uuid=shown_text(rental.get("uuid")), node=shown_text(rental.get("node_id")))
        if self._bar is not None and self._task is not None:
            with suppress(OSError, ValueError):
                self._bar.update(self._task, description=text)
        else:
            tell(text)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        # With the job's output in a pipe, rich must not take standard output over.
        redirect_stdout=False,
        transient=True,
    )
