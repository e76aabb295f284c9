"""A task that is cleared while it runs, over the REST API of Airflow 2: that API loses the clear, and it is found here.

`post_clear_task_instances` of 2.11 sets the state `restarting` on a task instance that no session holds any more, so
that its row stays `running`; and on the row of the worker's job, where the worker's next heartbeat writes it over. Only
when the scheduler looks for zombies between the two does anybody end the process. Else the answer is 200, the task runs
on to its end, and its machine bills. What stays is the try in the table of earlier tries, where one that runs has no
place. The pages of Airflow 2, its command line, and all of Airflow 3, carry a clear out.

It is looked for now and then while the task runs, and once more when it is about to end, or to defer: the next worker
of the same try finds what was lost in the moment after that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from airflow_provider.exceptions import OctaTaskKilledError
from octa_provider.text.loggers import plain_logger

__all__ = ["LOOK_S", "find_lost_clear", "no_clear_lost", "refuse_lost_clear"]

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
    task = _running_task(ti)
    if task is not None:
        # A thread has a session of its own; that of the task is in the middle of something.
        threading.Thread(target=_until_found, args=(task,), name="octa-lost-clear", daemon=True).start()


def refuse_lost_clear(ti: Any) -> None:
    """Go no further in a task that was cleared, as of which `find_lost_clear` may not know yet.

    Args:
        ti: as of `find_lost_clear`.

    Raises:
        OctaTaskKilledError: it was cleared, and starts anew.
    """
    task = _running_task(ti)
    if task is not None and _asked(task):
        raise OctaTaskKilledError("The task was cleared while it ran.")


@contextmanager
def no_clear_lost(ti: Any) -> Iterator[None]:
    """A task that is cleared within the block does not end with what the block comes to, nor defer: it starts anew.

    Args:
        ti: as of `find_lost_clear`.

    Raises:
        OctaTaskKilledError: as of `refuse_lost_clear`.
    """
    try:
        yield
    except BaseException as error:
        try:
            refuse_lost_clear(ti)
        except OctaTaskKilledError as cleared:
            raise cleared from error
        raise
    refuse_lost_clear(ti)


@dataclass(frozen=True)
class _RunningTask:
    """One try of a task, on one worker, by the names of the columns."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    job_id: int

    def is_cleared(self) -> bool:
        """Whether it was cleared and runs all the same; its row is set to `restarting` then."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.taskinstancehistory import TaskInstanceHistory
        from airflow.utils.session import create_session

        row = vars(self)
        # It may have been another worker's, before the task deferred.
        one_try = {name: value for name, value in row.items() if name != "job_id"}
        with create_session() as session:
            if session.query(TaskInstanceHistory.try_number).filter_by(**one_try).first() is None:
                return False
            # In one statement: what ends meanwhile stays as it ended. Cleared again while it ends, it has no state, and
            # Airflow 2 would take its end for a failure.
            state = TaskInstance.state
            running = session.query(TaskInstance).filter_by(**row).filter((state == "running") | state.is_(None))
            if running.update({"state": "restarting"}, synchronize_session=False):
                log.warning("The task was cleared over the REST API, which Airflow 2 tells nobody: ending it.")
                return True
            # One that Airflow has taken for dead, or somebody has marked, is another's to end.
            return session.query(state).filter_by(**row, state="restarting").first() is not None


def _running_task(ti: Any) -> _RunningTask | None:
    if _IS_THREE or getattr(ti, "job_id", None) is None:
        return None
    return _RunningTask(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number, int(ti.job_id))


def _asked(task: _RunningTask) -> bool:
    try:
        return task.is_cleared()
    except Exception as error:  # noqa: BLE001 - a database that is away for a moment has its own
        log.debug("Whether the task was cleared can't be asked: %s", type(error).__name__)
        return False


def _until_found(task: _RunningTask) -> None:
    while True:
        time.sleep(LOOK_S)
        if _asked(task):
            return
