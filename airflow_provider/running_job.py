"""What a task does that runs a job: starting or carrying on, waiting here or deferred, and leaving nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider.deferring_job import DefersJob
from airflow_provider.job_refusals import STARTS_ONLY, TRIES_ELSEWHERE, checked_interval
from airflow_provider.lineage.tells_lineage import TellsLineage
from airflow_provider.links import LINKS
from airflow_provider.templated import as_float, as_text, checked_wait
from octa_provider import errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider.job_on_worker import JobOnWorker
    from airflow_provider.kill_switch import KillSwitch
    from airflow_provider.lineage.tells_lineage import MadeFiles
    from airflow_provider.machine_wait import MachineWait
    from octa_provider import JobState, OctaClient
    from octa_provider.job.teller import JobTeller

__all__ = ["RunsJob"]


class RunsJob(DefersJob, TellsLineage):
    """The way of a task with a job; the operator that is made of it sets how.

    What only a task that runs needs is imported where it is used: DAG files are parsed over and over.

    Attributes:
        log_path, on_finish_action, on_kill_action, on_event, files_in_trigger: as of `DefersJob`.
        skip_on_exit_code: exit codes that skip the task instead of failing it.
        keep_failed_s: seconds for which `stop_succeeded` keeps that of a command that failed.
        durable: whether a try carries on with what an earlier one left.
        wait_for_completion: whether the task ends with the job, or as soon as it is started.
        poll_interval: seconds between two looks.
        deferrable: whether to wait in the triggerer.
        kill_switch: made when the task runs; a kill pulls it.
    """

    operator_extra_links = LINKS
    skip_on_exit_code: frozenset[int]
    keep_failed_s: float | str
    durable: bool
    wait_for_completion: bool
    poll_interval: float | str
    deferrable: bool
    kill_switch: KillSwitch | None = None

    def execute(self, context: Context) -> Any:
        """Start, or carry on with what an earlier try started; then wait here, or defer."""
        from airflow_provider.lineage.run_bill import RunBill
        from airflow_provider.lost_clear import no_clear_lost
        from airflow_provider.rental_key import rental_key

        self.run_bill = RunBill()
        client, key = self.connect(context), rental_key(context)
        self._told = None
        # What fails from here on may leave what an earlier try has started: its worker may have vanished.
        try:
            with no_clear_lost(context["ti"]):
                work = self._prepare(context, client)
                if not self.durable:
                    work.discard(key)
                return self._start(context, work)
        except BaseException as error:
            self.stop_after(error, client, key, context=context)
            if self._is_success_already(error, context):
                return None
            raise

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Do what the trigger came back for."""
        from airflow_provider.job_event import event_or_broken, key_told_by, uuid_told_by
        from airflow_provider.lineage.job_lineage import bill_of_event
        from airflow_provider.lineage.run_bill import RunBill
        from airflow_provider.lost_clear import no_clear_lost
        from airflow_provider.rental_key import rental_key
        from airflow_provider.stop_on_failure import tell_what_may_run

        event, key = event_or_broken(event), rental_key(context)
        self._told, self.run_bill = None, RunBill()
        bill_of_event(self.run_bill, event)
        try:
            client = self.connect(context)
        except Exception:
            if event.get("result") is None:
                tell_what_may_run(key_told_by(event) or key, uuid_told_by(event))
            raise
        try:
            with no_clear_lost(context["ti"]):
                return self._go_on(context, client, key, event)
        except BaseException as error:
            self.stop_after(error, client, key)
            if self._is_success_already(error, context):
                return None
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As every operator; but when Airflow itself ended the wait, it would call nothing else: stop first."""
        if next_method == "__fail__":
            from airflow_provider.exceptions import OctaUnwatchedError
            from airflow_provider.job_xcom import JobXCom
            from airflow_provider.lineage.run_bill import RunBill
            from airflow_provider.rental_key import rental_key
            from airflow_provider.stop_on_failure import tell_what_may_run

            key, uuid, self.run_bill = rental_key(context), None, RunBill()
            try:
                # Before the connection, which may be what is missing: it names what may bill.
                uuid = JobXCom(context).uuid()
                client = self.connect(context)
                self._know_uuid(uuid)
                self.stop_after(OctaUnwatchedError("the wait was ended"), client, key)
            except Exception as error:  # noqa: BLE001 - whatever it is, the task's own error must not be lost
                tell_what_may_run(key, uuid, f"{type(error).__name__}: {error}")
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Stop what runs; see `airflow_provider.kill_switch`."""
        if self.kill_switch is None:
            return
        if self.on_kill_action == "stop":
            self.kill_switch.pull()
        else:
            self.kill_switch.pulled = True

    def connect(self, context: Context) -> OctaClient:
        """Connect; from here on a kill stops what runs.

        Args:
            context: of the task that runs.

        Raises:
            OctaTaskError, AirflowFailException: the connection can't be used; see `fail_task`.
        """
        # Also what a failure needs later, which may be that no file can be opened any more.
        import airflow_provider.marked_success
        import airflow_provider.stop_on_failure  # noqa: F401
        from airflow_provider.failure import fail_task
        from airflow_provider.hooks.octa import OctaHook
        from airflow_provider.kill_switch import KillSwitch
        from airflow_provider.lost_clear import find_lost_clear
        from airflow_provider.rental_key import rental_key

        try:
            hook = OctaHook(self.octa_conn_id)
            client = hook.get_conn()
        except (errors.OctaError, ValueError) as error:
            fail_task(error)
        self._settings = hook.settings
        self.kill_switch = KillSwitch(hook.settings, rental_key(context))
        find_lost_clear(context["ti"])
        return client

    def stop_after(
        self,
        error: BaseException,
        client: OctaClient,
        key: str,
        uuid: str | None = None,
        context: Context | None = None,
    ) -> None:
        """Leave nothing when the task fails or is killed, unless it says `keep`; a task that defers has not failed.

        Args:
            error: what the task ends with.
            client: the API.
            key: the rental key.
            uuid: the session; the one that this try knows when left out.
            context: of the task that runs, where an error may be its first try's.
        """
        from airflow.providers.common.compat.sdk import TaskDeferred

        from airflow_provider.exceptions import OctaTaskKilledError
        from airflow_provider.stop_on_failure import stop_after

        switch = self.kill_switch
        if isinstance(error, TaskDeferred) or (switch is not None and switch.concluded):
            return
        was_killed = isinstance(error, OctaTaskKilledError) or (switch is not None and switch.pulled)
        if self.on_kill_action == "keep" and was_killed:
            return
        # The key alone does not find a session whose environment is not echoed, or that a list misses.
        bills = stop_after(error, client, key, uuid or self._known_uuid(), context=context)
        if self.run_bill is not None and bills:
            self.run_bill.stopped(bills)
        if self._told is not None and bills is not None:
            self._told.cut_short(str(error).partition("\n")[0] or type(error).__name__, bills)

    def lineage_inputs(self) -> Iterable[object]:
        """The files and folders that the command gets."""
        return tuple(self.inputs or ())

    def lineage_outputs(self) -> Iterable[MadeFiles]:
        """What was fetched: the files and folders that the author names, or those of them that came; and the log."""
        from airflow_provider.lineage.job_lineage import made_files

        return () if self.run_bill is None else made_files(self.run_bill, (self.outputs or {}).values())

    def _is_success_already(self, error: BaseException, context: Context) -> bool:
        """Whether a task that was killed has been marked as a success, so that there is nothing to raise.

        What Airflow 2 raises in a task that it kills it takes back itself, without a word.
        """
        from airflow.providers.common.compat.sdk import TaskDeferred

        from airflow_provider.marked_success import is_marked_success

        was_killed = self.kill_switch is not None and self.kill_switch.pulled and not isinstance(error, TaskDeferred)
        return was_killed and is_marked_success(context) and isinstance(error, Exception)

    def _teller(self, client: OctaClient) -> JobTeller | None:
        """What tells `on_event`, one for all that this process sees of the task."""
        if self._told is None and self.on_event is not None:
            from octa_provider.job.teller import JobTeller

            self._told = JobTeller(self.on_event, client.clock)
        return self._told

    def _start(self, context: Context, work: JobOnWorker) -> Any:
        from airflow_provider.job_json import job_to_json
        from airflow_provider.task_memory import TaskMemory

        state = work.start(TaskMemory(context).job())
        work.kill_switch.refuse()
        if not self.wait_for_completion:
            return {"uuid": state.rental.uuid, "key": state.key, "job": job_to_json(state)}
        return work.see_to_the_end(state)

    def _go_on(self, context: Context, client: OctaClient, key: str, event: dict[str, Any]) -> Any:
        from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout

        from airflow_provider.exceptions import OctaJobFailedError, OctaUnwatchedError
        from airflow_provider.job_event import anothers_text, is_anothers, uuid_told_by
        from airflow_provider.job_json import job_from_json
        from airflow_provider.job_xcom import JobXCom
        from airflow_provider.lineage.run_bill import RunBill
        from airflow_provider.machine_wait import MachineWait

        own = JobXCom(context).uuid()
        self._know_uuid(own)
        if is_anothers(event, own, key):
            self.log.warning("%s", anothers_text(event, own))
            self.run_bill = RunBill()
            return self._start(context, self._prepare(context, client))
        self._know_uuid(own or uuid_told_by(event))
        if "job" in event and (told := self._teller(client)) is not None:
            told.take_over(job_from_json(event["job"]), is_ready_told=event.get("is_ready_told") is True)
        if (wait := MachineWait.told_by(event)) is not None:
            return self._start(context, self._prepare(context, client, wait))
        if event["what"] == "deadline":
            raise AirflowTaskTimeout(f"The task did not end within {self.execution_timeout}; its session was stopped.")
        if event["what"] == "broken":
            raise OctaUnwatchedError(f"The job {key} could not be watched: {event['message']}")
        state = job_from_json(event["job"])
        self._keep_places(state)
        work = self._prepare(context, client)
        from airflow_provider.shared_files import forget_marks
        from octa_provider.job.result import JobOutcome

        if event["what"] in {"ready", "exited"}:
            from octa_provider.job.take_over import take_over

            state = take_over(client, state)
        work.was_deferred = True
        forget_marks(work.spec, state, as_text("log_path", self.log_path))
        work.tail.extend(event.get("tail", ()))
        if event["what"] == "unwatched":
            self.log.warning("The triggerer can't watch the job, so this worker does: %s", event["message"])
        result = event["result"] if event["what"] == "ended" else None
        if result is None:
            work.kill_switch.refuse()
        missing = self._missing(state, event)
        if missing is not None:
            state = state.having(outcome=JobOutcome.FAILED, message=missing)
            result = {**event["result"], "outcome": JobOutcome.FAILED.value, "message": missing}
        try:
            return work.see_to_the_end(state, result=result, stays=event["what"] == "unwatched")
        except OctaJobFailedError as error:
            if missing is None:
                raise
            # Another try would pay for it all again, and put it there again.
            raise AirflowFailException(str(error)) from error

    def _prepare(self, context: Context, client: OctaClient, wait: MachineWait | None = None) -> JobOnWorker:
        """Check the rendered arguments, and make of them what does the job's work."""
        from dataclasses import replace

        from airflow_provider.failure import fail_task
        from airflow_provider.job_on_worker import JobOnWorker
        from airflow_provider.lineage.run_bill import RunBill
        from airflow_provider.machine_wait import MachineWait, defer_for_machine

        try:
            poll_s, spec = checked_interval(self.poll_interval), self.job_spec(context)
            if self.on_finish_action == "stop_succeeded":
                spec = replace(spec, keep_failed_s=as_float("keep_failed_s", self.keep_failed_s))
            wait = wait or MachineWait.new(checked_wait(self.wait_for_machine_s), on_worker=not self.deferrable)
            if not self.wait_for_completion and spec.over_ssh:
                raise ValueError(STARTS_ONLY)
            if not self.wait_for_completion and spec.start_attempts > 1:
                raise ValueError(TRIES_ELSEWHERE)
        except (errors.OctaError, ValueError) as error:
            fail_task(error)
        assert self.kill_switch is not None
        return JobOnWorker(
            operator=self,
            context=context,
            client=client,
            spec=spec,
            kill_switch=self.kill_switch,
            private_key=self._settings.ssh_private_key,
            poll_s=poll_s,
            log_path=self.log_path,
            skip_on_exit_code=self.skip_on_exit_code,
            keeps_session=self.on_finish_action == "keep",
            stops_on_kill=self.on_kill_action == "stop",
            defer=partial(self._defer, context, spec, poll_s) if self.deferrable else None,
            told=self._teller(client),
            run_bill=self.run_bill or RunBill(),
            wait_for_machine_s=wait.core_wait_s,
            no_machine=partial(
                defer_for_machine,
                self,
                context,
                wait,
                client=client,
                octa_conn_id=self.octa_conn_id,
                service="mr",
                requirements=spec.requirements,
                max_cost_usd=spec.max_cost_usd,
                namespace=self._settings.namespace,
            ),
        )

    def _missing(self, state: JobState, event: Mapping[str, Any]) -> str | None:
        """What is not here of the files that a triggerer has fetched for a job that succeeded; see `missing_text`."""
        from airflow_provider.fetched_there import missing_text
        from octa_provider.job.result import JobOutcome

        def pause(seconds: float) -> None:
            assert self.kill_switch is not None
            time.sleep(seconds)
            self.kill_switch.refuse()

        if event.get("fetched") is None or state.outcome is not JobOutcome.SUCCEEDED:
            return None
        return missing_text(event["result"]["outputs"], event["fetched"], pause=pause)

    def _know_uuid(self, uuid: str | None) -> None:
        assert self.kill_switch is not None
        self.kill_switch.uuid = uuid

    def _known_uuid(self) -> str | None:
        return None if self.kill_switch is None else self.kill_switch.uuid
