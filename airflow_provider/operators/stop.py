"""Stop a session for certain, and tell what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.rental_key import rental_key
from airflow_provider.session_reference import SessionArgument, SessionReference, json_safe, started_by
from airflow_provider.templated import as_int, checked_deadline, is_known
from octa_provider.errors import OctaConfigError, OctaError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import Bill

__all__ = ["OctaStopSessionOperator"]


class OctaStopSessionOperator(BaseOperator):
    """Stop a session, see it stopped, and return the bill. Made to be a teardown: `.as_teardown(setups=start)`.

    Whatever else was started under the same rental key is stopped too. When the start left no uuid behind (it failed,
    was skipped, or died in between), the rental key alone is swept; nothing to stop is fine.

    Args:
        session: the start operator's output, or a uuid.
        start_task_id: the task that started the session; needed only when `session` is not that task's output.
        score: what the machine was worth, 1 to 5.
        deadline_s: seconds to try for; the task then fails, since the session still bills. Let it retry.
        octa_conn_id: the connection.

    Returns (XCom): the bill: `uuid`, `charge_wei` (as text: it outgrows 64 bits), `charge_usd`, `duration_s`,
        `termination_reason`; None when nothing ran.

    Raises:
        AirflowException: it was not seen stopped in time.

    Example:
        >>> stop = OctaStopSessionOperator(task_id="stop", session=start.output).as_teardown(setups=start)
    """

    template_fields: Sequence[str] = ("octa_conn_id", "session", "start_task_id", "score", "deadline_s")
    ui_color = "#f6d9d5"

    def __init__(
        self,
        *,
        session: SessionArgument | None = None,
        start_task_id: str | None = None,
        score: int | str | None = None,
        deadline_s: float | str = 300.0,
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.session = session
        self.start_task_id = start_task_id or started_by(session)
        self.score = score
        self.deadline_s = deadline_s
        self.octa_conn_id = octa_conn_id
        if session is None and start_task_id is None:
            raise ValueError(
                "session is missing: give the start task's output (session=start.output), or start_task_id."
            )
        if is_known(score):
            _checked_score(score)
        if is_known(deadline_s):
            checked_deadline(deadline_s)

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Stop; returns the bill."""
        key = rental_key(context, self.start_task_id) if self.start_task_id else None
        try:
            reference = SessionReference.from_argument(self.session)
            deadline_s = checked_deadline(self.deadline_s)
            client = OctaHook(self.octa_conn_id).get_conn()
            if reference is not None:
                bill = reference.rental(client, key).stop(score=_checked_score(self.score), deadline_s=deadline_s)
                return self._told(bill)
            bills = client.rentals.stop(key, deadline_s=deadline_s) if key is not None else ()
        except (OctaError, ValueError) as error:
            fail_task(error)
        if not bills:
            self.log.info("Nothing was started, so there is nothing to stop.")
            return None
        return [self._told(bill) for bill in bills][-1]

    def _told(self, bill: Bill) -> dict[str, Any]:
        cost = "unknown" if bill.charge_wei is None else f"{bill.charge_wei / 10**18:.6f} OCTA"
        usd = "" if bill.charge_usd is None else f" ({bill.charge_usd:.4f} USD)"
        self.log.info("Session %s has stopped; cost %s%s", bill.uuid, cost, usd)
        return json_safe(bill.to_dict())


def _checked_score(score: int | str | None) -> int | None:
    known = as_int("score", score)
    if known is not None and known not in range(1, 6):
        raise OctaConfigError(f"score={known} is not a score: give 1 to 5, or leave it out.")
    return known
