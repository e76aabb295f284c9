"""How soon a trigger may tell its event.

Airflow fails a healthy task that runs again before its executor has reported that the process which deferred it ended:
"reported that the task instance finished with state success, but the task instance's state attribute is running". On a
busy scheduler that report takes seconds. What a trigger has to tell so early can wait: work that is done has been
stopped, and costs nothing more.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

__all__ = ["SOONEST_S", "until_task_may_resume"]

SOONEST_S = 10.0


async def until_task_may_resume(trigger: BaseTrigger, begun: float) -> None:
    """Wait until a task that was deferred when its trigger began may be resumed.

    Args:
        trigger: the trigger; one without a task, as in `dag.test()`, has no executor to wait for.
        begun: when it began to run, as `time.monotonic` tells it.
    """
    if trigger.task_instance is not None:
        await asyncio.sleep(max(0.0, begun + SOONEST_S - time.monotonic()))
