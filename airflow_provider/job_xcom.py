"""What the task of a job tells in XCom, in its links and in its outlets, as soon as it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.links import push
from airflow_provider.session_reference import rental_xcom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from octa_provider import Rental
    from octa_provider.models import Session

__all__ = ["JobXCom"]

_UUID, _SESSION, _COST, _RESULT = "uuid", "session", "cost", "result"
#: What each outlet's event carries of the result.
_IN_EVENTS = ("uuid", "node_id", "cost_wei", "cost_usd", "outputs", "outputs_count")


class JobXCom:
    """Tells, for one task that runs.

    Args:
        context: of the task.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ti = context["ti"]

    def uuid(self) -> str | None:
        """The session that this try of the task has told; XCom outlives a deferral, and is wiped before each try."""
        ti = self._ti
        found = ti.xcom_pull(task_ids=ti.task_id, key=_UUID, map_indexes=ti.map_index)
        return found if isinstance(found, str) else None

    def tell_uuid(self, uuid: str) -> None:
        """Tell the session: links and alert callbacks want it also when this task fails later.

        Args:
            uuid: the session.
        """
        self._ti.xcom_push(key=_UUID, value=uuid)

    def tell_session(self, rental: Rental) -> None:
        """Tell what is known of the session when it has just been started.

        Args:
            rental: the session.
        """
        self._ti.xcom_push(key=_SESSION, value=rental_xcom(rental))
        push(self._ti, None)

    def link(self, session: Session) -> None:
        """Put the session's addresses behind the task's links.

        Args:
            session: as the API tells it.
        """
        push(self._ti, session)

    def tell_job(self, result: Mapping[str, Any]) -> None:
        """Tell all that the job came to, where its task returns something else: what the command returned.

        Args:
            result: `JobResult` as a dict.
        """
        self._ti.xcom_push(key=_RESULT, value={name: told for name, told in result.items() if name != "value"})

    def tell_result(self, operator: BaseOperator, result: Mapping[str, Any]) -> None:
        """Tell what the job came to, of a failed one too, also to whoever waits for the task's outlets.

        Args:
            operator: whose outlets they are.
            result: `JobResult` as a dict.
        """
        cost = {name: result[name] for name in ("cost_wei", "cost_usd", "duration_s")}
        self._ti.xcom_push(key=_COST, value=cost)
        told = {name: result[name] for name in _IN_EVENTS}
        for outlet in operator.outlets or ():
            if hasattr(outlet, "uri"):
                self._context["outlet_events"][outlet].extra.update(told)
