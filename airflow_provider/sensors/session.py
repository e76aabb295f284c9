"""Wait until a session can be used."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider.exceptions import OctaUnwatchedError
from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.job_event import anothers_text, event_or_broken, is_anothers
from airflow_provider.links import LINKS, push, push_addresses
from airflow_provider.rendering import RendersWhatIsWritten
from airflow_provider.session_reference import SessionArgument, SessionReference, check_known_session
from airflow_provider.soft_fail import fails_softly
from airflow_provider.start_attempts import refuse_start_attempts
from airflow_provider.task_deadline import task_deadline_at
from airflow_provider.templated import refuse_text_flags
from airflow_provider.try_note import note_try
from octa_provider.errors import OctaError
from octa_provider.rental.json_values import rental_json
from octa_provider.text.plain_text import plain_words

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import Rental

__all__ = ["OctaSessionReadySensor"]

#: Airflow's own limit of a wait, which calls nobody back, comes so much later than ours.
LATER_S = 600.0
#: What was ready so long ago is looked at again.
_LONG_AGO_S = 60.0


class OctaSessionReadySensor(RendersWhatIsWritten, BaseSensorOperator):
    """Wait until a session is ready: in either mode (`poke`, `reschedule`), or deferred.

    A session that has failed or ended fails the task at once, with the end of its system log: no retry can mend that.
    One that is not ready within `timeout`, or `execution_timeout`, is stopped, since it bills. Outages of the API only
    slow the wait down. A user who clears or marks the sensor stops nothing: the session is that of the task that
    started it, and of its teardown.

    Args:
        session: the start operator's output, or a uuid.
        poke_interval: seconds between two looks; default 15.
        timeout: seconds until it is too late; default 30 minutes.
        deferrable: whether to wait in the triggerer, where thousands share one request per interval; Airflow's
            `[operators] default_deferrable` when left out.
        octa_conn_id: the connection.
        kwargs: as of every sensor, such as `mode` and `soft_fail`.

    Returns (XCom): what the start operator returned, with `urls`, `ssh` and `ssh_web` as far as the session has them.

    Raises:
        AirflowFailException: the session has failed or ended.
        OctaUnwatchedError: the triggerer could not watch it; it was stopped if that could be.
        AirflowSensorTimeout: it was too late; the session was stopped.

    Example:
        >>> ready = OctaSessionReadySensor(task_id="ready", session=start.output, mode="reschedule")
    """

    template_fields: Sequence[str] = ("octa_conn_id", "session")
    mapping_fields: ClassVar[frozenset[str]] = frozenset({"session"})
    operator_extra_links = LINKS
    ui_color = "#fdf3d0"

    def __init__(
        self,
        *,
        session: SessionArgument | None,
        octa_conn_id: str = OctaHook.default_conn_name,
        poke_interval: float = 15.0,
        timeout: float = 30 * 60.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        refuse_start_attempts(kwargs)
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.session = session
        self.octa_conn_id = octa_conn_id
        self.deferrable = deferrable
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """Refuse what can never work, as far as it is known when the DAG file is parsed.

        Raises:
            ValueError: naming the argument and what to do.
        """
        refuse_text_flags(deferrable=self.deferrable)
        check_known_session(self.session)

    def execute(self, context: Context) -> Any:
        """Wait; what is too late is stopped."""
        if not self.deferrable:
            return self._poke_until_ready(context)
        try:
            return self._poke_or_defer(context)
        except AirflowFailException as error:
            if not fails_softly(self):
                raise
            self._stop()
            raise AirflowSkipException(str(error)) from error

    def _poke_until_ready(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except (AirflowSensorTimeout, AirflowSkipException, AirflowTaskTimeout):
            # A skip is a timeout or a failure too: that of a sensor with soft_fail or never_fail.
            self._stop()
            raise

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Take what the trigger saw."""
        event, own = event_or_broken(event), _told(self.session)
        if is_anothers(event, own):
            self.log.warning("%s", anothers_text(event, own))
            return self.execute(context)
        if event["what"] == "ready":
            if time.time() - event.get("at", 0.0) > _LONG_AGO_S:
                # It may have been stopped while this task waited for a worker.
                return self._poke_until_ready(context)
            push_addresses(context["ti"], event["session"])
            return event["session"]
        if event["what"] == "late":
            raise AirflowSensorTimeout(event["message"])
        if event["what"] == "failed":
            raise AirflowFailException(event["message"])
        if event["what"] == "unwatched":
            self.log.warning("The triggerer can't watch the session, so this worker does: %s", event["message"])
            return self._poke_until_ready(context)
        self._stop()
        raise OctaUnwatchedError(f"The session could not be watched, and was stopped: {event['message']}")

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As every sensor; but when Airflow itself ended the wait, it would call nothing else: stop first."""
        if next_method == "__fail__":
            self._stop()
        return super().resume_execution(next_method, next_kwargs, context)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        from octa_provider.rental.wait import gone_error, is_ready, look, may_still_appear
        from octa_provider.timing.asking import is_transient

        rental = self._rental()
        try:
            session = look(rental.api, rental.uuid)
            if session is None:
                if may_still_appear(rental.api, rental, context["ti"].start_date):
                    return False
                raise gone_error(rental.api, rental)
            ready = is_ready(rental.api, rental, session)
        except OctaError as error:
            if not is_transient(error):
                fail_task(error)
            self.log.warning("Session %s could not be read, looking again later: %s", rental.uuid, error)
            return False
        self.log.info("Session %s: %s", rental.uuid, plain_words(session.progress or session.phase.value))
        if not ready:
            return False
        push(context["ti"], session)
        return PokeReturnValue(is_done=True, xcom_value=rental_json(rental, session))

    def _poke_or_defer(self, context: Context) -> Any:
        from airflow_provider.triggers.session import OctaSessionReadyTrigger

        seen = self.poke(context)
        if isinstance(seen, PokeReturnValue):
            return seen.xcom_value
        # For who watches between the trigger's event and the worker: whether another try has begun meanwhile.
        note_try(context["ti"])
        deadline_at = time.time() + self.timeout
        if (task_deadline := task_deadline_at(self.execution_timeout, context)) is not None:
            deadline_at = min(deadline_at, task_deadline)
        self.defer(
            trigger=OctaSessionReadyTrigger(
                octa_conn_id=self.octa_conn_id,
                session=rental_json(self._rental()),
                deadline_at=deadline_at,
                poll_interval=self.poke_interval,
                namespace=OctaHook(self.octa_conn_id).settings.namespace,
            ),
            method_name="execute_resumed",
            # Only for a triggerer that never runs it.
            timeout=timedelta(seconds=max(0.0, deadline_at - time.time()) + LATER_S),
        )
        raise AssertionError("unreachable: defer raises")

    def _rental(self) -> Rental:
        try:
            reference = SessionReference.from_argument(self.session)
            if reference is None:
                raise AirflowFailException("No session was started, so there is nothing to wait for.")
            return reference.rental(OctaHook(self.octa_conn_id).get_conn())
        except (OctaError, ValueError) as error:
            fail_task(error)

    def _stop(self) -> None:
        try:
            rental = self._rental()
            rental.stop()
        except Exception as error:  # noqa: BLE001 - whatever it is, the task's own error must not be lost
            from octa_provider.rental.stop import may_bill_text

            self.log.error("%s\n%s", may_bill_text(_told(self.session)), error)
        else:
            self.log.warning("Stopped session %s: it was not ready in time.", rental.uuid)


def _told(session: object) -> str:
    return str(session.get("uuid") if isinstance(session, Mapping) else session)
