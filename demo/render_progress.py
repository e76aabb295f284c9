"""What the user sees while the machines render."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

#: Seconds between lines where there is no terminal to draw bars on.
LINE_INTERVAL_S = 5.0


class RenderProgress:
    """A bar on a terminal; a line now and then anywhere else.

    Args:
        console: where to.
        total: frames of the animation.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.bars = Progress(
            TextColumn("  {task.description:<34}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.all = self.bars.add_task("frames rendered", total=total)
        self.last_line = ""
        self.last_line_at = -LINE_INTERVAL_S

    def __enter__(self) -> RenderProgress:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def show(self, done: int, stage: str) -> None:
        """Show how far it is.

        Args:
            done: frames that are there, and whole.
            stage: what happens, in a few words.
        """
        self.bars.update(self.all, completed=done, description=stage)
        line = f"  {done}/{self.total} frames, {stage}"
        now = time.monotonic()
        if not self.console.is_terminal and line != self.last_line and now - self.last_line_at >= LINE_INTERVAL_S:
            self.console.print(line, highlight=False)
            self.last_line, self.last_line_at = line, now
