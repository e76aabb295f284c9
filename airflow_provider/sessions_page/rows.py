"""What the page shows of each session to one user, as text that is still to be escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider.owner import TaskOwner, owner_of
from octa_provider.job.keeping import when_text
from octa_provider.rental.key import key_parts
from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import counted, shown_duration
from octa_provider.wire.labels import label_texts
from octa_provider.wire.money import cost_text, octa_text, price_text, usd_text

if TYPE_CHECKING:
    from airflow_provider.sessions_page.permissions import Permissions
    from octa_provider.rental.running import OwnedSession, Running

__all__ = ["Row", "Table", "may_stop", "table_for", "task_of"]

_MOST_CHARS = 80
_MOST_READ = 4096
#: Unix seconds: what is beyond has no date.
_MOST_S = 1e11
_PROGRAMS = {"cli": "The command line", "prefect": "Prefect", "airflow": "Another Airflow"}


@dataclass(frozen=True)
class Row:
    """One session.

    Attributes:
        uuid: the session.
        short: the uuid's beginning.
        doing: its service and how far it is.
        whose: who started it, in words; for a task of this Airflow its DAG.
        steps: of such a task a line each: its run; the task, its map index, the machine of a batch.
        path: where Airflow shows the task, behind its base URL; empty for no task.
        detail: what only those who may stop it are told: the rental key.
        labels: what it is labelled with, as far as it may be told.
        cards: the graphics cards.
        node: which node it is on, and where that is.
        age: since when it runs, as a length of time.
        cost: what it has cost until now.
        price: what an hour costs.
        may_stop: whether there is a button.
        kept: that it is kept for a look, and until when; empty for any other.
        after_stop: what becomes of its work when it is stopped, as a sentence.
    """

    uuid: str
    short: str
    doing: str
    whose: str
    steps: tuple[str, ...]
    path: str
    detail: str
    labels: str
    cards: str
    node: str
    age: str
    cost: str
    price: str
    may_stop: bool
    kept: str
    after_stop: str


@dataclass(frozen=True)
class Table:
    """All that one user sees of an account.

    Attributes:
        rows: the oldest session first.
        total: all sessions of the account in one line, those that are hidden included.
        remarks: what else there is to know, a sentence each.
    """

    rows: tuple[Row, ...]
    total: str
    remarks: tuple[str, ...]


def table_for(running: Running, connection_id: str, may: Permissions) -> Table:
    """What a user sees of an account.

    Args:
        running: what runs on it.
        connection_id: the connection that leads there.
        may: what the user may do.
    """
    seen = [one for one in running.sessions if (task := task_of(one)) is None or may.may_see_tasks(task.dag_id)]
    remarks = []
    if hidden := len(running.sessions) - len(seen):
        remarks.append(f"{counted(hidden, 'session')} of DAGs that you may not see: counted above, not listed.")
    if running.odd:
        verb = "is" if running.odd == 1 else "are"
        remarks.append(
            f"{counted(running.odd, 'record')} of the account can't be read, and {verb} billed all the same."
        )
    return Table(tuple(_row(one, connection_id, may) for one in seen), _total(running.sessions), tuple(remarks))


def task_of(session: OwnedSession) -> TaskOwner | None:
    """The task of this Airflow that a session belongs to; None for any other session.

    Args:
        session: with whose it is.
    """
    return None if session.work_key is None else owner_of(session.work_key)


def may_stop(session: OwnedSession, connection_id: str, may: Permissions) -> bool:
    """Whether a user may stop a session: a task's, who may clear the task; any other, who may edit the connection.

    Args:
        session: with whose it is.
        connection_id: the connection that leads to its account.
        may: what the user may do.
    """
    task = task_of(session)
    return may.may_edit_connection(connection_id) if task is None else may.may_clear_tasks(task.dag_id)


def _row(owned: OwnedSession, connection_id: str, may: Permissions) -> Row:
    session, task = owned.session, task_of(owned)
    is_allowed = may_stop(owned, connection_id, may)
    return Row(
        uuid=owned.uuid,
        short=_said(owned.uuid)[:8],
        doing=" · ".join(_said(part) for part in (session.service, session.app_name, session.progress) if part),
        whose=_said(task.dag_id) if task is not None else _starter(owned),
        steps=() if task is None else _steps(task),
        path="" if task is None else _path(task),
        detail=_said(owned.key, 4 * _MOST_CHARS) if task is None and is_allowed and owned.key is not None else "",
        # They may name work of an Airflow that is not the reader's, as its key does.
        labels=_said(", ".join(label_texts(owned.labels)), 4 * _MOST_CHARS) if task is not None or is_allowed else "",
        cards="" if session.hardware is None else session.hardware.cards,
        node=_node(owned),
        age=shown_duration(owned.age_s),
        cost=_cost(owned),
        price="" if owned.price_usd is None else price_text(owned.price_usd),
        may_stop=is_allowed,
        kept="" if owned.kept_until is None else _kept(owned.kept_until),
        after_stop=_after_stop(owned, task),
    )


def _kept(until: float) -> str:
    # A note may be anybody's; one that is out of all reason keeps nobody from the page.
    return "its command failed: kept" + (f" until {when_text(until)}" if 0.0 <= until < _MOST_S else "")


def _after_stop(owned: OwnedSession, task: TaskOwner | None) -> str:
    if owned.kept_until is not None:
        return "Its command has failed: nothing waits for it."
    if task is None:
        return "It is of no task of this Airflow."
    return "Its task will find it gone, and fail or try again."


def _starter(owned: OwnedSession) -> str:
    """Who started a session that is of no task of this Airflow, as far as it tells."""
    if owned.key is None:
        return "Unknown: it tells no rental key"
    parts = key_parts(owned.key)
    work = parts[1:] if owned.namespace and len(parts) > 1 else parts
    who = _PROGRAMS.get(work[0], "Something else")
    if owned.is_own:
        return f"{who if work[0] != 'airflow' else 'Something else'}, in the namespace of this Airflow"
    return f"{who}, in the namespace {_said(owned.namespace)}" if owned.namespace else f"{who}, in no namespace"


def _steps(task: TaskOwner) -> tuple[str, ...]:
    parts = [_said(task.task_id)]
    if task.map_index >= 0:
        parts.append(f"map index {task.map_index}")
    if task.machine is not None:
        parts.append(f"machine {task.machine[1:]} of its batch")
    return _said(task.run_id), " · ".join(parts)


def _path(task: TaskOwner) -> str:
    named = [quote(part, safe="") for part in (task.dag_id, task.run_id, task.task_id)]
    path = "/dags/{}/runs/{}/tasks/{}".format(*named)
    return path if task.map_index < 0 else f"{path}/mapped/{task.map_index}"


def _node(owned: OwnedSession) -> str:
    node = "" if owned.session.node_id is None else f"node {owned.session.node_id}"
    country = _said(owned.session.country_iso or owned.session.country)
    return " · ".join(part for part in (node, country) if part)


def _cost(owned: OwnedSession) -> str:
    if owned.charge_wei is None and owned.spent_usd is not None:
        return f"about {usd_text(owned.spent_usd)}"
    return cost_text(owned.charge_wei, owned.charge_usd, unknown="not told")


def _total(sessions: Sequence[OwnedSession]) -> str:
    if not sessions:
        return "No session runs."
    wei = sum(one.charge_wei or 0 for one in sessions)
    usd = sum(one.charge_usd or 0.0 for one in sessions)
    unknown = sum(one.charge_wei is None for one in sessions)
    hourly = sum(one.price_usd or 0.0 for one in sessions)
    verb = "runs" if len(sessions) == 1 else "run"
    said = f"{counted(len(sessions), 'session')} {verb}: {octa_text(wei)} ({usd_text(usd)}) until now"
    said += f", {price_text(hourly)}" if hourly else ""
    return f"{said}. {counted(unknown, 'session')} of them told no cost." if unknown else f"{said}."


def _said(text: object, most: int = _MOST_CHARS) -> str:
    """What a stranger wrote, on one line and of a length that leaves room for the rest."""
    # Cut first: of megabytes nobody reads more than the beginning, and making them plain takes seconds.
    said = plain_words("" if text is None else str(text)[:_MOST_READ]).strip()
    return said if len(said) <= most else f"{said[: most - 1]}…"
