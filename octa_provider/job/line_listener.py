"""Whoever is told the lines of a job can't end it: a paid machine is worth more than a line that was not shown."""

from __future__ import annotations

import logging
from collections.abc import Callable

from octa_provider.rental.clean_up import came_by_signal
from octa_provider.text.loggers import plain_logger

__all__ = ["LineListener", "OnLine"]

log = plain_logger("octa_provider.job.line_listener")

OnLine = Callable[[str], object]


class LineListener:
    """Calls a function with each line of a job, and goes on when it raises. That is logged once.

    Args:
        on_line: what is called. KeyboardInterrupt, SystemExit and what a signal's handler raises still end the job.
        name: what the caller knows it as.
    """

    def __init__(self, on_line: Callable[[str], object], name: str = "on_line") -> None:
        self._on_line = on_line
        self._name = name
        self._has_told = False

    @classmethod
    def of(cls, on_line: Callable[[str], object] | None, name: str = "on_line") -> LineListener | None:
        """The listener for a function; one that is a listener already stays, so that it knows what it has logged.

        Args:
            on_line: what is called; None for nobody, whose listener is None.
            name: what the caller knows it as.
        """
        return on_line if on_line is None or isinstance(on_line, cls) else cls(on_line, name)

    def __call__(self, line: str) -> None:
        try:
            self._on_line(line)
        except Exception as error:
            if came_by_signal(error):
                raise
            if not self._has_told:
                self._has_told = True
                log.warning(
                    "%s failed (%s: %s): the job goes on, and what else fails there is not told",
                    self._name,
                    type(error).__name__,
                    error,
                    exc_info=log.isEnabledFor(logging.DEBUG),
                )
