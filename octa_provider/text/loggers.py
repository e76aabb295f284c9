"""Our loggers. What strangers wrote reaches them as arguments: names of files, reasons, answers of the API."""

from __future__ import annotations

import logging
from collections.abc import Mapping

# What logs does work, and has this at hand when no file can be opened any more.
from octa_provider.text import odd_text as odd_text
from octa_provider.text.plain_text import plain_message, plain_words

__all__ = ["plain_logger"]


class _PlainRecords(logging.Filter):
    """Makes every record plain before any handler sees it: a terminal's, Airflow's or Prefect's."""

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args
        if isinstance(arguments, Mapping):
            record.args = {name: _plain(value) for name, value in arguments.items()}
        elif arguments:
            record.args = tuple(map(_plain, arguments))
        if not arguments:
            record.msg = plain_message(str(record.msg))
        return True


_PLAIN_RECORDS = _PlainRecords()


def plain_logger(name: str) -> logging.Logger:
    """The logger of that name, whose records hold nothing but text: no escapes, no forged lines, no folding marks.

    A value that can't be made text is told as such: writing a log line never fails a call.

    Args:
        name: such as `octa_provider.rental.wait`.
    """
    logger = logging.getLogger(name)
    logger.addFilter(_PLAIN_RECORDS)
    return logger


def _plain(value: object) -> object:
    """An argument of a record: numbers as they are, for `%d`, an error's lines as lines, all else as words."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    try:
        return plain_message(str(value)) if isinstance(value, BaseException) else plain_words(str(value))
    except Exception as error:  # noqa: BLE001 - whatever a value's own text raises
        return f"({type(value).__name__} that can't be shown: {type(error).__name__})"
