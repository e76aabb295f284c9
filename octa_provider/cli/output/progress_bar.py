"""The bar of commands that take long."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, TextIO, TypeVar

from octa_provider.cli.output.streams import takes_unicode

__all__ = ["WithBar", "progress_bar"]

Display = TypeVar("Display", bound="WithBar")

#: A terminal of fewer columns has no room for a bar.
NARROW = 60
#: Columns of a bar beside words that tell the same.
SHORT = 14


def progress_bar(stream: TextIO, *, tells_numbers: bool = False) -> Any:
    """A bar that is gone when it ends, with a description that gives way where there is little room.

    Args:
        stream: the terminal.
        tells_numbers: whether the description tells how far it is, so that a short bar without numbers will do.

    Returns:
        A `rich.progress.Progress`, not started.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    console = Console(file=stream)
    unicode = takes_unicode(stream)
    cut = Column(no_wrap=True, overflow="ellipsis" if unicode else "crop")
    # The words give way, never the numbers.
    percent = TaskProgressColumn(table_column=Column(no_wrap=True, min_width=4, overflow="crop"))
    elapsed = TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7, overflow="crop"))
    columns: tuple[Any, ...] = (BarColumn(), percent, elapsed)
    if tells_numbers:
        columns = (BarColumn(SHORT),)
    if console.width < NARROW:
        # Where there is no room, words and a number tell more than a bar of two characters.
        columns = () if tells_numbers else (percent,)
    return Progress(
        SpinnerColumn("dots" if unicode else "line"),
        TextColumn("{task.description}", markup=False, table_column=cut),
        *columns,
        console=console,
        # With the job's output in a pipe, rich must not take standard output over.
        redirect_stdout=False,
        transient=True,
    )


class WithBar(AbstractContextManager[Any]):
    """A display that has a bar on standard error for the length of a `with` block, where that is a terminal.

    Args:
        begins: the description that the bar begins with.
        tells_numbers: as `progress_bar` takes it.

    Attributes:
        bar: the bar; None where there is no terminal.
        task: what it shows; None likewise.
    """

    def __init__(self, begins: str, *, tells_numbers: bool = False) -> None:
        self.bar = progress_bar(sys.stderr, tells_numbers=tells_numbers) if sys.stderr.isatty() else None
        self.task = None if self.bar is None else self.bar.add_task(begins, total=None)

    def __enter__(self: Display) -> Display:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bar is not None:
            with suppress(OSError, ValueError):
                # The terminal may be gone.
                self.bar.stop()
