"""How a task hands its job over to the triggerer, and what that needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider.job_arguments import DescribesJob
from airflow_provider.templated import as_text
from octa_provider import errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider.connection_settings import ConnectionSettings
    from airflow_provider.written_file import FileArgument
    from octa_provider import JobSpec, JobState
    from octa_provider.job.events import OnEvent
    from octa_provider.job.teller import JobTeller

__all__ = ["DefersJob"]

#: Airflow's own limit of a wait, which calls nobody back, comes so much later than the last end of the job, or than
#: the end of `execution_timeout`.
_LATER_S = 1800.0
_LATER_THAN_TIMEOUT_S = 600.0


class DefersJob(DescribesJob):
    """The way of a task's job to the triggerer.

    Attributes:
        log_path: a file that gets the command's whole output; None for none.
        on_finish_action: `stop`, `keep` or `stop_succeeded`: what becomes of the session when the job has ended.
        on_kill_action: `stop` or `keep`: what becomes of it when the task is killed.
        on_event: called on a worker with each thing that happens; None for nobody.
        files_in_trigger: whether a triggerer that sees the worker's files may move them.
    """

    log_path: FileArgument | None
    on_finish_action: str
    on_kill_action: str
    on_event: OnEvent | None
    files_in_trigger: bool
    _settings: ConnectionSettings
    _told: JobTeller | None = None

    def _defer(self, context: Context, spec: JobSpec, poll_s: float, state: JobState) -> NoReturn:
        from airflow_provider.job_deferral import defer_job, latest_end_of
        from airflow_provider.lost_clear import refuse_lost_clear
        from airflow_provider.task_deadline import task_deadline_at

        # Before anything is left for the triggerer.
        refuse_lost_clear(context["ti"])
        latest_end = latest_end_of(state, spec.timeout_s)
        deadline_at = task_deadline_at(self.execution_timeout, context)
        given_up_at = latest_end + _LATER_S
        if deadline_at is not None:
            given_up_at = min(given_up_at, deadline_at + _LATER_THAN_TIMEOUT_S)
        defer_job(
            self,
            context,
            state,
            octa_conn_id=self.octa_conn_id,
            namespace=self._settings.namespace,
            poll_s=poll_s,
            latest_end=latest_end,
            deadline_at=deadline_at,
            given_up_at=given_up_at,
            collects=spec.over_ssh and self._collects(spec),
            stops=self.on_finish_action != "keep",
            stops_on_kill=self.on_kill_action == "stop",
            is_ready_told=self._told is not None and self._told.is_ready_told,
            shared=self._shared(spec, state),
        )

    def _shared(self, spec: JobSpec, state: JobState) -> dict[str, Any] | None:
        # Nobody there could tell `on_event`; a URL is written to by a worker.
        log_path = as_text("log_path", self.log_path)
        if not self.files_in_trigger or self.on_event is not None or "://" in (log_path or ""):
            return None
        from airflow_provider.shared_files import files_to_share

        try:
            return files_to_share(spec, state, log_path, value_of=self._value_of(), texts=self._texts())
        except errors.OctaError:
            # An input has gone meanwhile: a worker will tell of it when it would send it.
            return None

    def _value_of(self) -> str | None:
        """The output of the job that is a value of the task's, and no file; None for none."""
        return None

    def _texts(self) -> dict[str, dict[str, Any]]:
        """The inputs of the job that are made for it from texts; see `files_to_share`."""
        return {}

    def _keep_places(self, state: JobState) -> None:
        """Have what is described from now on lie there where it lies in a job that has been started."""

    def _collects(self, spec: JobSpec) -> bool:
        return bool(spec.outputs) or spec.result_file is not None or as_text("log_path", self.log_path) is not None
