"""Errors of ours in Prefect's logs: what is wrong and where the flow asked for it, in one line instead of a page.

A machine that does not fit, a cap that is reached, a key that is refused: such errors say what to do, and the frames of
Prefect and of this package that they came through say nothing more. At the level DEBUG the traceback stays.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from types import TracebackType

import prefect
from prefect.logging import get_logger

import octa_provider
from octa_provider.errors import OctaError

__all__ = ["OneLineErrors", "quiet_errors"]

#: Where Prefect tells of flow runs and task runs, in the run and in a worker.
LOGGERS = ("flow_runs", "flow_runs.worker", "task_runs")
#: Prefect, this package, its core, and Python itself.
_NOT_THE_FLOWS = tuple(
    str(Path(path).parent) for path in (prefect.__file__, octa_provider.__file__, traceback.__file__, __file__)
)


class OneLineErrors(logging.Filter):
    """Takes the traceback of an error of ours out of a record, and puts its text there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through.

        Args:
            record: what is logged.
        """
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, OctaError) and not logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            told = f"{type(error).__name__}: {error}"
            text = record.getMessage().replace(repr(error), told)
            record.msg = text if told in text else f"{text.rstrip()} {told}"
            where = _where_in_flow(error.__traceback__)
            if where:
                record.msg += f" ({where})"
            record.args = None
            record.exc_info = None
            record.exc_text = None
        return True


def _where_in_flow(frames: TracebackType | None) -> str:
    """File and line in the flow's own code, the last one that the error came through; empty where there is none."""
    for frame in reversed(traceback.extract_tb(frames)):
        if not frame.filename.startswith(_NOT_THE_FLOWS) and Path(frame.filename).is_file():
            return f"{Path(frame.filename).name}, line {frame.lineno}"
    return ""


def quiet_errors() -> None:
    """From here on, and once however often it is called."""
    for name in LOGGERS:
        logger = get_logger(name)
        if not any(isinstance(one, OneLineErrors) for one in logger.filters):
            logger.addFilter(OneLineErrors())
