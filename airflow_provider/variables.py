"""Airflow Variables that this package keeps for itself, the same for every process of an Airflow; named `octa_...`.

A task and a trigger of Airflow 3 reach them over the API; everything else in the database. What `Variable.get` does
besides, asking every secrets backend and taking an outage for an absence, is not wanted here.
"""

from __future__ import annotations

import threading
from typing import Any

from airflow_provider.exceptions import OctaAirflowUnreachableError

__all__ = ["forget_variable", "read_variable", "variable_names", "write_variable"]

#: Several sessions are stopped at the same time, and the first releases of Airflow 3 mix up what two threads ask.
_one_at_a_time = threading.Lock()


def read_variable(name: str) -> str:
    """A Variable's value; empty for one that is certainly not there.

    Raises:
        PermissionError: Airflow denies it.
        Exception: Airflow can't be asked now.
    """
    comms = _supervisor()
    if comms is None:
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(Variable).filter_by(key=name).one_or_none()
            return "" if found is None else str(found.val or "").strip()
    from airflow.sdk.execution_time.comms import GetVariable

    return str(_answer(comms, GetVariable(key=name), missing_is_fine=True) or "").strip()


def write_variable(name: str, value: str, description: str, *, only_new: bool = False) -> None:
    """Keep a Variable.

    Args:
        name: its key.
        value: what it holds.
        description: what whoever finds it in Airflow's list should know.
        only_new: leave one alone that is there. Over the API there is no such thing: it is replaced.

    Raises:
        PermissionError: Airflow denies it.
        Exception: Airflow can't be asked now.
    """
    comms = _supervisor()
    if comms is None:
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session
        from sqlalchemy.exc import IntegrityError

        made: Any = Variable
        try:
            with create_session() as session:
                found = session.query(Variable).filter_by(key=name).one_or_none()
                if found is None:
                    session.add(made(key=name, val=value, description=description))
                elif not only_new:
                    found.val = value
        except IntegrityError:
            # Somebody else was quicker.
            if not only_new:
                raise
        return
    from airflow.sdk.execution_time.comms import PutVariable

    _answer(comms, PutVariable(key=name, value=value, description=description))


def forget_variable(name: str) -> None:
    """Remove a Variable; one that is not there is fine.

    Raises:
        PermissionError: Airflow denies it.
        Exception: Airflow can't be asked now.
    """
    comms = _supervisor()
    if comms is None:
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            session.query(Variable).filter_by(key=name).delete()
        return
    from airflow.sdk.execution_time.comms import DeleteVariable

    _answer(comms, DeleteVariable(key=name), missing_is_fine=True)


def variable_names(prefix: str) -> list[str]:
    """The Variables whose names begin so; none on an Airflow that does not tell a task (3.0 to 3.2).

    Raises:
        PermissionError: Airflow denies it.
        Exception: Airflow can't be asked now.
    """
    if _supervisor() is None:
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(Variable.key).filter(Variable.key.startswith(prefix, autoescape=True))
            return sorted(str(row[0]) for row in found)
    from airflow.sdk import Variable as OnThree

    if not hasattr(OnThree, "keys"):
        return []
    return sorted(str(name) for name in OnThree.keys(prefix=prefix))


def _supervisor() -> Any:
    """What a task or a trigger of Airflow 3 asks its Airflow through; None elsewhere."""
    try:
        from airflow.sdk.execution_time import task_runner
    except ImportError:
        return None
    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def _answer(comms: Any, question: Any, *, missing_is_fine: bool = False) -> str | None:
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import ErrorResponse

    try:
        with _one_at_a_time:
            answer = comms.send(question)
    except AirflowRuntimeError as error:
        answer = error.error
    if not isinstance(answer, ErrorResponse):
        value = getattr(answer, "value", None)
        return None if value is None else str(value)
    kind = str(getattr(answer.error, "value", answer.error))
    if missing_is_fine and (kind == "VARIABLE_NOT_FOUND" or _status(answer) == 404):
        return None
    if kind == "PERMISSION_DENIED" or _status(answer) in {401, 403}:
        raise PermissionError(f"Airflow denies this task the Variable {question.key}")
    raise OctaAirflowUnreachableError(
        f"Airflow does not answer about the Variable {question.key} ({kind}: {answer.detail})"
    )


def _status(answer: Any) -> int | None:
    found = (answer.detail or {}).get("status_code")
    return found if isinstance(found, int) else None
