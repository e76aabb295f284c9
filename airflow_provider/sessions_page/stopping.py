"""The stop button: who may press it, what it stops, and what is told and written down of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider.sessions_page.accounts import account
from airflow_provider.sessions_page.permissions import Permissions
from airflow_provider.sessions_page.refusal import PageError
from airflow_provider.sessions_page.rows import may_stop, task_of
from octa_provider.errors import OctaStopError
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import shown_duration
from octa_provider.wire.money import cost_text

if TYPE_CHECKING:
    from airflow_provider.owner import TaskOwner
    from octa_provider.rental.running import OwnedSession

__all__ = ["EVENT", "stop_session"]

log = plain_logger(__name__)

#: Its name in Airflow's audit log.
EVENT = "octa_stop_session"
#: Seconds: proxies give up on an answer after a minute.
DEADLINE_S = 45.0


def stop_session(user: Any, connection_id: str, uuid: str) -> str:
    """Stop a session, and return when it has been seen gone. One that has ended already is told as such.

    Whose it is, and so who may stop it, is asked of the account: what the browser says is not believed.

    Args:
        user: who asks.
        connection_id: the connection whose account it is of.
        uuid: the session.

    Returns:
        One sentence, with what it has cost.

    Raises:
        PageError: it could not be stopped, or may not be, by this user.
    """
    may = Permissions(user)
    if not may.may_see_page():
        raise PageError(403, "You may not see this page, and stop nothing on it.")
    with account(connection_id) as client:
        found = client.rentals.look_up(uuid)
        if found is None or not _may_see(found, may):
            raise PageError(404, "No such session runs, or ended lately, on this account.")
        if not may_stop(found, connection_id, may):
            raise PageError(403, _who_may(found, connection_id))
        if found.session.finished_at is not None:
            cost = cost_text(found.charge_wei, found.charge_usd, unknown="what it cost is not told")
            return f"Session {_name(uuid)} had ended already: {cost}, ran {shown_duration(found.age_s)}."
        _write_down(user, connection_id, uuid, task_of(found))
        try:
            # By uuid, not by key: the key may have come back to life since the page was drawn.
            bill = client.rentals.stop_only(uuid, key=found.key, deadline_s=DEADLINE_S)
        except OctaStopError as error:
            log.error("%s", error)
            said = f"Session {_name(uuid)} was asked to stop, and not seen gone yet: it may still be billed. Try again."
            raise PageError(504, said) from None
        finally:
            _forget_what_ran(client)
    cost = cost_text(bill.charge_wei, bill.charge_usd, unknown="what it cost is not told")
    return f"Stopped session {_name(uuid)}: {cost}, ran {shown_duration(bill.duration_s)}."


def _may_see(found: OwnedSession, may: Permissions) -> bool:
    task = task_of(found)
    return task is None or may.may_see_tasks(task.dag_id)


def _who_may(found: OwnedSession, connection_id: str) -> str:
    task = task_of(found)
    if task is None:
        return f"You may not stop it: it is of no task here, so it takes the permission to edit {connection_id}."
    return f"You may not stop it: it takes the permission to clear tasks of {plain_words(task.dag_id)}."


def _write_down(user: Any, connection_id: str, uuid: str, task: TaskOwner | None) -> None:
    """Into Airflow's audit log; that it can't be written keeps nothing billing."""
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    of_task: dict[str, Any] = {}
    if task is not None:
        of_task = {"dag_id": task.dag_id, "run_id": task.run_id, "task_id": task.task_id, "map_index": task.map_index}
    try:
        extra = json.dumps({"session": uuid, "connection": connection_id})
        with create_session() as session:
            session.add(Log(event=EVENT, owner=user.get_name(), extra=extra, **of_task))
    except Exception as error:  # noqa: BLE001 - each database has its own
        log.warning("that session %s is stopped can't be written into the audit log: %s", uuid, type(error).__name__)


def _forget_what_ran(client: Any) -> None:
    """Ask what runs at once, so that whoever looks next sees it gone."""
    from octa_provider.errors import OctaError

    try:
        client.rentals.running(max_age_s=1e-9)
    except OctaError as error:
        log.info("what runs can't be asked after a stop: %s", error)


def _name(uuid: str) -> str:
    return plain_words(uuid)[:36]
