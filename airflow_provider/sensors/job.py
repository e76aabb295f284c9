"""Wait for a job that another task started."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeAlias

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider.exceptions import OctaUnwatchedError
from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.job_deferral import defer_job, latest_end_of
from airflow_provider.job_ending import raise_for_outcome
from airflow_provider.job_event import anothers_text, event_or_broken, is_anothers, uuid_told_by
from airflow_provider.job_json import job_from_json
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.lineage.job_lineage import bill_of_event
from airflow_provider.lineage.run_bill import RunBill
from airflow_provider.lineage.tells_lineage import TellsLineage
from airflow_provider.private_names import is_made_anew
from airflow_provider.rendering import RendersWhatIsWritten
from airflow_provider.running_job import RunsJob
from airflow_provider.starting_session import StartsSession
from airflow_provider.stop_on_failure import tell_what_may_run
from airflow_provider.task_deadline import task_deadline_at
from airflow_provider.task_memory import TaskMemory
from airflow_provider.templated import as_codes, is_known, refuse_text_flags
from octa_provider.errors import OctaError
from octa_provider.text.plain_text import plain_words

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import AirflowRescheduleException

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from octa_provider import JobState, OctaClient

__all__ = ["OctaJobSensor"]

#: Airflow's own limit of a wait, which calls nobody back, comes so much later than ours.
_LATER_S = 600.0
_TAIL_LINES = 20
#: So many of the last lines are shown at the end where they can't be shown as they come.
_HELD_LINES = 10_000

_WHAT_TO_GIVE = "job is not the output of an OctaRunJobOperator(wait_for_completion=False)."

JobArgument: TypeAlias = "Mapping[str, Any] | XComArg"


class OctaJobSensor(RendersWhatIsWritten, BaseSensorOperator, TellsLineage):
    """Wait for a job that `OctaRunJobOperator(wait_for_completion=False)` started, show its log, and stop its session.

    The session is stopped when the job has ended, when it is too late, and when the sensor fails or is killed. In mode
    `reschedule` nobody is there to be killed between two looks: then the reaper stops it once the DAG run is over. In
    that mode its log appears as it comes on Airflow 3.3 and newer, and before at its end, the last 10,000 lines.

    Args:
        job: the output of the operator that started it.
        skip_on_exit_code: an exit code, or several, that skip the task instead of failing it.
        poke_interval: seconds between two looks; default 15.
        timeout: seconds until it is too late; default a day. The job has deadlines of its own.
        octa_conn_id: the connection.
        deferrable: whether to wait in the triggerer; Airflow's `[operators] default_deferrable` when left out.
        kwargs: as of every sensor, such as `mode` and `soft_fail`.

    Returns (XCom): as `OctaRunJobOperator`.

    Raises:
        AirflowSkipException, AirflowFailException, OctaTaskError: as `OctaRunJobOperator`.
        AirflowSensorTimeout: it was too late; the session was stopped.

    Example:
        >>> begun = OctaRunJobOperator(task_id="begin", image="alpine:3", command="...", wait_for_completion=False)
        >>> ended = OctaJobSensor(task_id="end", job=begun.output, deferrable=True)
    """

    template_fields: Sequence[str] = ("octa_conn_id", "job")
    mapping_fields: ClassVar[frozenset[str]] = frozenset({"job"})
    ui_color = "#fdf3d0"

    def __init__(
        self,
        *,
        job: JobArgument,
        skip_on_exit_code: int | Collection[int] | None = None,
        octa_conn_id: str = OctaHook.default_conn_name,
        poke_interval: float = 15.0,
        timeout: float = 24 * 3600.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.job = job
        self.skip_on_exit_code = as_codes("skip_on_exit_code", skip_on_exit_code)
        self.octa_conn_id = octa_conn_id
        self.deferrable = deferrable
        #: Made when the task runs; a kill pulls it.
        self.kill_switch: KillSwitch | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._seen: JobState | None = None
        self._concluded = False
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """Refuse what can never work, as far as it is known when the DAG file is parsed.

        Raises:
            ValueError: naming the argument and what to do.
        """
        refuse_text_flags(deferrable=self.deferrable)
        # A mapped task is made anew when it runs, from what other tasks returned.
        if not is_made_anew(self) and (_never_is_a_job(self.job) or _is_of_another_kind(self.job)):
            raise ValueError(_WHAT_TO_GIVE)

    def execute(self, context: Context) -> Any:
        """Wait; whatever ends the wait without the job's end stops the job."""
        if self.deferrable:
            self._defer(context)
        return self._poke_until_ended(context)

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Take what the trigger saw; it has stopped the session, if it could."""
        event, self.run_bill = event_or_broken(event), RunBill()
        if is_anothers(event, own := uuid_told_by(self.job if isinstance(self.job, Mapping) else {})):
            self.log.warning("%s", anothers_text(event, own))
            return self.execute(context)
        bill_of_event(self.run_bill, event)
        if event["what"] == "ended":
            self._tail.extend(event["tail"])
            self.run_bill.job_ended(event["result"])
            raise_for_outcome(job_from_json(event["job"]), self._tail, self.skip_on_exit_code)
            return event["result"]
        if event["what"] == "unwatched":
            self.log.warning("The triggerer can't watch the job, so this worker does: %s", event["message"])
            self.job = {"job": event["job"]}
            return self._poke_until_ended(context)
        self._stop()
        if event["what"] == "deadline":
            raise AirflowSensorTimeout("The job did not end within the time it was given; its session was stopped.")
        raise OctaUnwatchedError(
            f"The job could not be watched, and was stopped: {event.get('message', event['what'])}"
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As every sensor; but when Airflow itself ended the wait, it would call nothing else: stop first."""
        if next_method == "__fail__":
            self._stop()
        return super().resume_execution(next_method, next_kwargs, context)

    def _poke_until_ended(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except AirflowRescheduleException:
            raise
        except BaseException:
            if not self._concluded:
                self._stop()
            raise

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        from octa_provider.job.next_step import Finish, next_step

        client, state = self._client(), self._state()
        memory = TaskMemory(context)
        # Where nothing tells the next look how far this one read, each reads all: what was shown would be repeated.
        held = deque[str](maxlen=_HELD_LINES) if self.mode == "reschedule" and not memory.is_kept else None
        on_line = self._on_line if held is None else held.append
        # In mode `reschedule` each look is another process.
        earlier = self._seen or memory.job()
        if earlier is not None and earlier.nonce == state.nonce:
            state = earlier
        try:
            self._seen = state = client.jobs.poll(state, on_line=on_line, is_cancelled=self._is_killed)
            memory.keep_job(state)
            step = next_step(state, now=client.clock.steady_time(), poll_s=self.poke_interval, collects=False)
            if not isinstance(step, Finish):
                return False
            result = client.jobs.finish(state)
            self._concluded = True
            self.run_bill = RunBill()
            self.run_bill.job_ended(result.to_json())
            for line in held or ():
                self._on_line(line)
        except OctaError as error:
            fail_task(error)
        raise_for_outcome(state, self._tail, self.skip_on_exit_code)
        return PokeReturnValue(is_done=True, xcom_value=result.to_json())

    def on_kill(self) -> None:
        """Stop the job's session; see `airflow_provider.kill_switch`."""
        if self.kill_switch is not None:
            self.kill_switch.pull()

    def _defer(self, context: Context) -> NoReturn:
        state, deadline_at = self._state(), time.time() + self.timeout
        if (task_deadline := task_deadline_at(self.execution_timeout, context)) is not None:
            deadline_at = min(deadline_at, task_deadline)
        defer_job(
            self,
            context,
            state,
            octa_conn_id=self.octa_conn_id,
            namespace=self._hook.settings.namespace,
            poll_s=self.poke_interval,
            latest_end=latest_end_of(state),
            deadline_at=deadline_at,
            given_up_at=max(deadline_at, time.time()) + _LATER_S,
        )

    def _state(self) -> JobState:
        try:
            found = self.job.get("job") if isinstance(self.job, Mapping) else None
            if not isinstance(found, Mapping):
                raise AirflowFailException(_WHAT_TO_GIVE)
            return job_from_json(found)
        except ValueError as error:
            fail_task(error)

    @cached_property
    def _hook(self) -> OctaHook:
        # One for all looks: Airflow may be away for a moment, and the job goes on.
        return OctaHook(self.octa_conn_id)

    def _client(self) -> OctaClient:
        state = self._state()
        try:
            client = self._hook.get_conn()
        except ValueError as error:
            fail_task(error)
        self.kill_switch = KillSwitch(self._hook.settings, state.key)
        self.kill_switch.uuid = state.rental.uuid
        return client

    def _is_killed(self) -> bool:
        return self.kill_switch is not None and self.kill_switch.pulled

    def _on_line(self, line: str) -> None:
        self._tail.append(line)
        self.log.info("[job] %s", plain_words(line))

    def _stop(self) -> None:
        try:
            bill = self._client().rentals.restore(self._state().rental).stop()
            self.run_bill = self.run_bill or RunBill()
            self.run_bill.stopped([bill])
        except Exception as error:  # noqa: BLE001 - whatever it is, the task's own error must not be lost
            tell_what_may_run(self._told("key"), None, error)

    def _told(self, name: str) -> str:
        job = self.job if isinstance(self.job, Mapping) else {}
        return str(job.get(name) or (job.get("job") or {}).get(name))


def _never_is_a_job(job: object) -> bool:
    return is_known(job) and not isinstance(job, Mapping)


def _is_of_another_kind(job: object) -> bool:
    """Whether it is the output of a task of ours that begins no job, or waits for it itself."""
    references = getattr(job, "iter_references", None)
    return references is not None and any(
        isinstance(operator, StartsSession) or (isinstance(operator, RunsJob) and operator.wait_for_completion)
        for operator, _key in references()
    )
