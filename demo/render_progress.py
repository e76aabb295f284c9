"""What the user sees while the machines render."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

#: Seconds between lines where there is no terminal to draw bars on.
LINE_INTERVAL_S = 5.0


class RenderProgress:
    """Bars on a terminal, one a machine and one for all; a line now and then anywhere else.

    Args:
        console: where to.
        total: frames of the animation.
        machines: how many machines share them.
    """

    def __init__(self, console: Console, total: int, machines: int) -> None:
        self.console = console
        self.total = total
        self.share = -(-total // machines)
        self.bars = Progress(
            TextColumn("  {task.description:<34}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.all = self.bars.add_task("frames rendered", total=total)
        self.rows: dict[str, TaskID] = {}
        self.last_line = ""
        self.last_line_at = -LINE_INTERVAL_S

    def __enter__(self) -> RenderProgress:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def show(self, frames: Mapping[str, int], stage: str) -> None:
        """Show how far it is.

        Args:
            frames: frames rendered so far, by machine.
            stage: what the orchestrator is doing, in a few words.
        """
        done = min(sum(frames.values()), self.total)
        for machine, count in frames.items():
            if machine not in self.rows:
                self.rows[machine] = self.bars.add_task(machine, total=self.share)
            self.bars.update(self.rows[machine], completed=count)
        self.bars.update(self.all, completed=done, description=stage)
        line = f"  {done}/{self.total} frames, {stage}"
        now = time.monotonic()
        if not self.console.is_terminal and line != self.last_line and now - self.last_line_at >= LINE_INTERVAL_S:
            self.console.print(line, highlight=False)
            self.last_line, self.last_line_at = line, now
