"""Airflow Variables that this package keeps for itself, the same for every process of an Airflow; named `octa_...`.

A task and a trigger of Airflow 3 reach them over the API; everything else in the database. What `Variable.get` does
besides, asking every secrets backend and taking an outage for an absence, is not wanted here.
"""

from __future__ import annotations

from typing import Any

from airflow_provider.exceptions import OctaAirflowUnreachableError
from airflow_provider.supervisor import ask, supervisor

__all__ = ["forget_variable", "read_variable", "variable_names", "write_variable"]


def read_variable(name: str) -> str:
    """A Variable's value; empty for one that is certainly not there.

    Args:
        name: the Variable's.

    Raises:
        PermissionError: Airflow denies it.
        Exception: Airflow can't be asked now.
    """
    if supervisor() is None:
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(Variable).filter_by(key=name).one_or_none()
            return "" if found is None else str(found.val or "").strip()
    from airflow.sdk.execution_time.comms import GetVariable

    return str(_answer(GetVariable(key=name), missing_is_fine=True) or "").strip()


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
    if supervisor() is None:
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

    _answer(PutVariable(key=name, value=value, description=description))


def forget_variable(name: str) -> None:
    """Remove a Variable; one that is not there is fine.

    Args:
        name: the Variable's.

    Raises:
        PermissionError: Airflow denies it.
        Exception: Airflow can't be asked now.
    """
    if supervisor() is None:
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            session.query(Variable).filter_by(key=name).delete()
        return
    from airflow.sdk.execution_time.comms import DeleteVariable

    _answer(DeleteVariable(key=name), missing_is_fine=True)


def variable_names(prefix: str) -> list[str]:
    """The Variables whose names begin so; none on an Airflow that does not tell a task (3.0 to 3.2).

    Args:
        prefix: what the names begin with.

    Raises:
        PermissionError: Airflow denies it.
        Exception: Airflow can't be asked now.
    """
    if supervisor() is None:
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(Variable.key).filter(Variable.key.startswith(prefix, autoescape=True))
            return sorted(str(row[0]) for row in found)
    from airflow.sdk import Variable as OnThree

    if not hasattr(OnThree, "keys"):
        return []
    return sorted(str(name) for name in OnThree.keys(prefix=prefix))


def _answer(question: Any, *, missing_is_fine: bool = False) -> str | None:
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import ErrorResponse

    try:
        answer = ask(question)
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
