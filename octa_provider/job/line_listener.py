"""Who is told the lines of a job."""

from __future__ import annotations

from collections.abc import Callable

from octa_provider.job.listener import Listener

__all__ = ["LineListener", "OnLine"]

OnLine = Callable[[str], object]


class LineListener(Listener[str]):
    """Calls a function with each line of a job; see `Listener`.

    Args:
        on_line: what is called.
        name: what the caller knows it as.
    """

    def __init__(self, on_line: Callable[[str], object], name: str = "on_line") -> None:
        super().__init__(on_line, name)

    @classmethod
    def of(cls, on_line: Callable[[str], object] | None, name: str = "on_line") -> LineListener | None:
        """The listener for a function; one that is a listener already stays, so that it knows what it has logged.

        Args:
            on_line: what is called; None for nobody, whose listener is None.
            name: what the caller knows it as.
        """
        return on_line if on_line is None or isinstance(on_line, cls) else cls(on_line, name)
