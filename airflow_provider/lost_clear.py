"""A task that is cleared while it runs, over the REST API of Airflow 2: that API loses the clear, and it is found here.

`post_clear_task_instances` of 2.11 sets the state `restarting` on a task instance that no session holds any more, so
that its row stays `running`; and on the row of the worker's job, where the worker's next heartbeat writes it over. Only
when the scheduler looks for zombies between the two does anybody end the process. Else the answer is 200, the task runs
on to its end, and its machine bills. What stays is the try in the table of earlier tries, where one that runs has no
place. The pages of Airflow 2, its command line, and all of Airflow 3, carry a clear out.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from octa_provider.text.loggers import plain_logger

__all__ = ["LOOK_S", "find_lost_clear"]

log = plain_logger(__name__)

#: Seconds between two looks, each of them one small query.
LOOK_S = 10.0
_IS_THREE = find_spec("airflow.sdk") is not None


def find_lost_clear(ti: Any) -> None:
    """From now on until this process ends, carry out a clear of the task that Airflow 2 has lost.

    Its row is set to `restarting`, as Airflow meant to: the worker's heartbeats see that and end the task as any that
    is cleared, and its next try comes whatever its retries are. Nothing is done on Airflow 3, nor for a task that no
    worker runs: `dag.test()`, `airflow tasks test`.

    Args:
        ti: the task instance that runs in this process.
    """
    if _IS_THREE or getattr(ti, "job_id", None) is None:
        return
    task = _RunningTask(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number, int(ti.job_id))
    # A thread has a session of its own; that of the task is in the middle of something.
    threading.Thread(target=_until_found, args=(task,), name="octa-lost-clear", daemon=True).start()


@dataclass(frozen=True)
class _RunningTask:
    """One try of a task, on one worker: the columns that both tables of tries have."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    job_id: int

    def restart_if_cleared(self) -> bool:
        """Set its row to `restarting` if it was cleared and runs all the same; returns whether it was cleared."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.taskinstancehistory import TaskInstanceHistory
        from airflow.utils.session import create_session

        with create_session() as session:
            if session.query(TaskInstanceHistory.try_number).filter_by(**vars(self)).first() is None:
                return False
            # In one statement: what ends meanwhile stays as it ended.
            running = session.query(TaskInstance).filter_by(**vars(self), state="running")
            if running.update({"state": "restarting"}, synchronize_session=False):
                log.warning("The task was cleared over the REST API, which Airflow 2 tells nobody: ending it.")
        return True


def _until_found(task: _RunningTask) -> None:
    is_over = False
    while not is_over:
        time.sleep(LOOK_S)
        try:
            is_over = task.restart_if_cleared()
        except Exception as error:  # noqa: BLE001 - a database that is away for a moment has its own
            log.debug("Whether the task was cleared can't be asked: %s", type(error).__name__)
