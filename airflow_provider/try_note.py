"""Which try of a task waits for a trigger: a note in XCom, since Airflow 3 does not tell a trigger.

Each try begins by wiping the task's XCom, so that the note of an earlier one is gone. Airflow 2 has no need of it:
there a triggerer reads the database.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from airflow_provider.supervisor import ask
from octa_provider.text.loggers import plain_logger

__all__ = ["forget_try", "note_try", "noted_try"]

log = plain_logger(__name__)

_IS_THREE = find_spec("airflow.sdk") is not None
_KEY = "octa_try"


def note_try(ti: Any) -> None:
    """Note which try is about to defer.

    Args:
        ti: the task instance, on a worker.
    """
    if _IS_THREE:
        ti.xcom_push(key=_KEY, value=ti.try_number)


def noted_try(ti: Any) -> int | None:
    """The try that was noted; None when another one has begun since, or none has deferred.

    Args:
        ti: the trigger's task instance, on Airflow 3.
    """
    from airflow.sdk.execution_time.comms import GetXCom
    from airflow.sdk.execution_time.xcom import XCom

    where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    answer = ask(GetXCom(key=_KEY, **where))
    found = None if answer.value is None else XCom.deserialize_value(answer)
    return found if isinstance(found, int) else None


def forget_try(ti: Any) -> None:
    """Remove the note, once what it was for has been stopped: nobody reads it in the list of XComs.

    Args:
        ti: the task instance, on a worker.
    """
    if not _IS_THREE:
        return
    try:
        from airflow.sdk.execution_time.xcom import XCom

        XCom.delete(key=_KEY, task_id=ti.task_id, dag_id=ti.dag_id, run_id=ti.run_id, map_index=ti.map_index)
    except Exception as error:  # noqa: BLE001 - each Airflow has its own, and the job has ended
        log.debug("The note %s can't be removed from XCom: %s", _KEY, error)
