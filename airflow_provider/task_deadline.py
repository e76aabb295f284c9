"""When a task's `execution_timeout` is over: Airflow 3 does not count it while a task is deferred, so triggers do."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["task_deadline_at"]


def task_deadline_at(execution_timeout: timedelta | None, context: Context) -> float | None:
    """The Unix time at which a task must have ended, however often it is deferred and resumed.

    Args:
        execution_timeout: the task's.
        context: of the task that runs.

    Returns:
        None for a task that may take as long as it likes.
    """
    if execution_timeout is None:
        return None
    begun = getattr(context["ti"], "start_date", None)
    at: float = time.time() if begun is None else begun.timestamp()
    return at + execution_timeout.total_seconds()
