"""Whoever is told of a job can't end it: a paid machine is worth more than what was not shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from octa_provider.rental.clean_up import came_by_signal
from octa_provider.text.loggers import plain_logger

__all__ = ["Listener"]

log = plain_logger("octa_provider.job.listener")

T = TypeVar("T")


class Listener(Generic[T]):
    """Calls a function with what there is to tell, and goes on when it raises. That is logged once.

    Args:
        function: what is called. KeyboardInterrupt, SystemExit and what a signal's handler raises still end the job.
        name: what the caller knows it as.
        shows_traceback: whether the log tells where it failed; else with debugging alone.
    """

    def __init__(self, function: Callable[[T], object], name: str, *, shows_traceback: bool = False) -> None:
        self._function = function
        self._name = name
        self._shows_traceback = shows_traceback
        self._has_told = False

    def __call__(self, told: T) -> None:
        try:
            self._function(told)
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
                    exc_info=self._shows_traceback or log.isEnabledFor(logging.DEBUG),
                )
