"""What `octa-provider render` shows while a batch runs: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from octa_provider.cli.options.connection import tell
from octa_provider.cli.output.progress_bar import WithBar
from octa_provider.cli.output.shell_words import in_shell_words
from octa_provider.cli.output.streams import drop
from octa_provider.cli.output.wording import shown_text
from octa_provider.text.quantities import shown_usd

if TYPE_CHECKING:
    from octa_provider.batch.events import BatchEvent, BatchProgress

__all__ = ["BatchDisplay"]

#: Without a bar, how far the batch is comes as a line, so often at most, and only when it has changed.
TELL_EVERY_S = 30.0
#: What is said of a machine, or of a frame, when it happens; the other events move the bar.
_WORDS = {
    "waiting": "waiting for a machine",
    "machine rented": "{machine} is rented",
    "machine refused": "{machine} was not rented",
    "machine ready": "{machine} is ready",
    "machine ended": "{machine} was let go",
    "frame refused": "frame {frame} of {machine} was refused",
    "frame given up": "frame {frame} was given up",
    "scene warning": "the scene may not be as you want it",
    "scene error": "the scene can't be rendered",
}


class BatchDisplay(WithBar):
    """What happens, as lines, and how far the batch is.

    Args:
        out: where the lines go.
        planned_usd: what the batch is planned to cost, in USD, where that is known already.
        clock: seconds that only grow.

    Attributes:
        has_reader: False once the other end of the pipe that `out` is has been closed.
        machines: how many are rented.
    """

    def __init__(
        self, out: TextIO, planned_usd: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.planned_usd = planned_usd
        self.has_reader = True
        self.machines = 0
        self._out = out
        self._clock = clock
        self._told_at = -TELL_EVERY_S
        self._told: str | None = None
        self._is_noticed = False
        super().__init__("looking at the scene", tells_numbers=True)

    def event(self, event: BatchEvent) -> None:
        """One thing that has happened. What can't be shown does not end the batch; that nobody reads any more does."""
        self.machines = event.progress.machines
        words = _WORDS.get(event.kind)
        if words is not None:
            text = words.format(machine=event.machine, frame=event.frame)
            self.line(f"{text}: {shown_text(in_shell_words(event.reason))}" if event.reason else text)
        self._move(event.progress)

    def notice(self, text: str) -> None:
        """A sentence about what is done now, which takes the place of how far the batch is."""
        self._is_noticed = True
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, description=text, total=None, completed=0)
        else:
            tell(text)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block there is no bar, so that a question can be asked."""
        if self.bar is not None:
            self.bar.stop()
        try:
            yield
        finally:
            if self.bar is not None:
                self.bar.start()

    def _move(self, progress: BatchProgress) -> None:
        text = self._said(progress)
        if self.bar is not None and self.task is not None:
            if not self._is_noticed:
                with suppress(OSError, ValueError):
                    self.bar.update(self.task, description=text, total=progress.frames, completed=progress.done)
            return
        now = self._clock()
        is_last = progress.done == progress.frames
        if text != self._told and (is_last or now - self._told_at >= TELL_EVERY_S):
            self._told_at, self._told = now, text
            self.line(text)

    def _said(self, progress: BatchProgress) -> str:
        return progress.words("" if self.planned_usd is None else f" of {shown_usd(self.planned_usd)}")

    def line(self, text: str) -> None:
        """One line, above the bar where there is one."""
        try:
            if self.bar is not None and self._out.isatty():
                # Above the bar.
                self.bar.console.out(text, highlight=False)
            else:
                print(text, file=self._out, flush=True)
        except BrokenPipeError:
            self.has_reader = False
            drop(self._out)
        except (OSError, ValueError):
            # A disk that is full, or a terminal that was closed, which sends a signal of its own.
            drop(self._out)
