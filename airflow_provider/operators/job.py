"""Rent a machine, run one command on it to completion, and stop the machine, whatever happens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowException, AirflowTaskTimeout, TaskDeferred, conf

from airflow_provider.describing_job import DescribesJob
from airflow_provider.failure import fail_task
from airflow_provider.job_ending import raise_for_outcome
from airflow_provider.job_travel import packed, unpacked
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.leaving_nothing import may_run_on, stop_after
from airflow_provider.links import LINKS, push
from airflow_provider.rental_key import rental_key
from airflow_provider.session_reference import rental_xcom
from airflow_provider.task_deadline import task_deadline_at
from airflow_provider.task_memory import TaskMemory
from airflow_provider.templated import as_codes, as_text, checked_deadline, is_known
from octa_provider.errors import OctaError
from octa_provider.rental.session_text import session_text
from octa_provider.text.carried import carried_dict
from octa_provider.text.plain_text import plain_words
from octa_provider.wire.money import cost_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider.written_file import FileArgument
    from octa_provider import JobSpec, JobState, OctaClient, Rental

__all__ = ["OctaRunJobOperator"]

ACTIONS = ("stop", "keep")
#: How soon a worker that waits notices that it is killed.
_NOTICE_S = 0.25
_TAIL_LINES = 20
#: Airflow's own limit of a wait, which calls nobody back, comes so much later than the last end of the job, or than
#: the end of `execution_timeout`.
_LATER_S = 1800.0
_LATER_THAN_TIMEOUT_S = 600.0
#: What the XCom of a task that is being watched holds under these keys.
_UUID, _SESSION, _COST = "uuid", "session", "cost"


class OctaRunJobOperator(DescribesJob):
    """Rent a machine, run a command on it to completion, collect its outputs, and stop the machine on every way out.

    The rental key is made of DAG, run, task and map index: a retry, also of a worker that vanished, carries on with the
    same machine and the same running command. With `deferrable` the wait needs no worker slot: log lines appear while
    it is deferred, and the session is stopped in the triggerer as soon as the work is done. Only where files move does
    a worker come back: once to send the inputs, once to fetch the outputs; the session is billed while it waits for
    its slot.

    Args:
        (those of `DescribesJob`): what to run: `image`, `command`, `envs`, `secret_envs`, `inputs`,
            `outputs`, `timeout_s`, ...
        (those of `ChoosesMachine`): where to run it: `gpu_model`, `max_price_usd`, `requirements`, ...
        log_path: a file that gets the command's whole output: on the worker, or a URL or `ObjectStoragePath`.
        skip_on_exit_code: an exit code, or several, that skip the task instead of failing it.
        on_finish_action: `stop` (default), or `keep`: the session runs and bills when the job has ended, for a look
            into it. Then stop it yourself; a retry does so, too.
        on_kill_action: `stop` (default), or `keep`: a task that is killed, cleared or marked leaves its session to the
            next try.
        durable: True (default) lets a try carry on with what an earlier one left; False stops that and begins anew.
        wait_for_completion: False only starts the job, without files; `OctaJobSensor` waits for it and stops it.
        poll_interval: seconds between two looks.
        deferrable: whether to wait in the triggerer; Airflow's `[operators] default_deferrable` when left out.

    Returns (XCom): `JobResult` as a dict: `exit_code`, `outcome`, `outputs`, `cost_wei` (as text), `cost_usd`,
        `duration_s`, `node_id`, `uuid`, `key`, `attempts`. As soon as they are known also, under `uuid` and `session`,
        the session; at the end under `cost` what it came to, of a failed job too.

    Raises:
        ValueError: when the DAG file is parsed: an argument that can never work.
        AirflowSkipException: the command ended with a code of `skip_on_exit_code`.
        AirflowFailException: a failure that no retry can mend.
        AirflowException: any other; the last lines of the log are in it. Nothing runs any more.

    Example:
        >>> train = OctaRunJobOperator(task_id="train", image="pytorch/pytorch", command="python train.py",
        ...     inputs={"/data/train.py": "train.py"}, outputs={"model.pt": "/data/model.pt"}, gpu_model="4090")
    """

    template_fields: Sequence[str] = (*DescribesJob.template_fields, "log_path", "poll_interval")
    operator_extra_links = LINKS
    ui_color = "#d9e6fb"

    def __init__(
        self,
        *,
        log_path: FileArgument | None = None,
        skip_on_exit_code: int | Collection[int] | None = None,
        on_finish_action: str = "stop",
        on_kill_action: str = "stop",
        durable: bool = True,
        wait_for_completion: bool = True,
        poll_interval: float | str = 5.0,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.log_path = log_path
        self.skip_on_exit_code = as_codes("skip_on_exit_code", skip_on_exit_code)
        self.on_finish_action = on_finish_action
        self.on_kill_action = on_kill_action
        self.durable = durable
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.deferrable = conf.getboolean("operators", "default_deferrable") if deferrable is None else deferrable
        self._kill_switch: KillSwitch | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._concluded = False
        for name in ("on_finish_action", "on_kill_action"):
            if getattr(self, name) not in ACTIONS:
                raise ValueError(f"{name}={getattr(self, name)!r} is neither of {' and '.join(ACTIONS)}.")
        if is_known(poll_interval):
            self._poll_s()

    # -- on the worker -------------------------------------------------------------------------------------------

    def execute(self, context: Context) -> Any:
        """Start, or carry on with what an earlier try started; then wait here, or defer."""
        client, key = self._connected(context), rental_key(context)
        # What fails from here on may leave what an earlier try has started: its worker may have vanished.
        try:
            spec = self._checked_spec(context)
            if not self.durable:
                self._discard(client, key)
            state = self._started(context, client, spec, TaskMemory(context).job())
            if not self.wait_for_completion:
                self._refuse_killed()
                return {"uuid": state.rental.uuid, "key": state.key, "job": packed(state)}
            return self._go_on(context, client, spec, state)
        except BaseException as error:
            self._stop_after(error, client, key, context=context)
            raise

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Do what the trigger came back for."""
        event = event or {"what": "broken", "message": "the trigger told nothing"}
        key = rental_key(context)
        try:
            client = self._connected(context)
        except Exception:
            if event.get("result") is None:
                may_run_on(_key_told_by(event) or key, uuid_told_by(event))
            raise
        try:
            self._switch.uuid = uuid_told_by(event) or self._uuid_in_xcom(context)
            if event["what"] in {"broken", "deadline"}:
                self._fail_stopped(event, client, key)
            spec, state = self._checked_spec(context), unpacked(event["job"])
            if event["what"] in {"ready", "exited"}:
                state = _unless_stopped_meanwhile(client, state)
            self._tail.extend(event.get("tail", ()))
            if event["what"] == "ended" and event["result"] is not None:
                return self._ended(context, client, spec, state, event["result"])
            if event["what"] == "unwatched":
                self.log.warning("The triggerer can't watch the job, so this worker does: %s", event["message"])
                return self._wait_here(context, client, spec, state)
            return self._go_on(context, client, spec, state)
        except BaseException as error:
            self._stop_after(error, client, key)
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As every operator; but when Airflow itself ended the wait, it would call nothing else: stop first."""
        if next_method == "__fail__":
            key = rental_key(context)
            try:
                client = self._connected(context)
                self._switch.uuid = self._uuid_in_xcom(context)
                self._stop_after(AirflowException("the wait was ended"), client, key)
            except Exception as error:  # noqa: BLE001 - whatever it is, the task's own error must not be lost
                may_run_on(key, self._known_uuid(), f"{type(error).__name__}: {error}")
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Stop what runs; see `airflow_provider.kill_switch`."""
        if self._kill_switch is None:
            return
        if self.on_kill_action == "stop":
            self._kill_switch.pull()
        else:
            self._kill_switch.pulled = True

    # -- the job's way -------------------------------------------------------------------------------------------

    def _connected(self, context: Context) -> OctaClient:
        """The client; from here on a kill stops what runs."""
        # What only a task that runs needs is imported here: DAG files are parsed over and over.
        from airflow_provider.hooks.octa import OctaHook

        try:
            hook = OctaHook(self.octa_conn_id)
            client = hook.get_conn()
        except (OctaError, ValueError) as error:
            fail_task(error)
        self._kill_switch = KillSwitch(hook.settings, rental_key(context))
        self._private_key = hook.settings.ssh_private_key
        self._namespace = hook.settings.namespace
        return client

    def _checked_spec(self, context: Context) -> JobSpec:
        try:
            self._poll_s()
            spec = self._spec(context)
            if not self.wait_for_completion and spec.over_ssh:
                raise ValueError(
                    "wait_for_completion=False is for jobs without files and secrets: a worker has to send them."
                )
        except (OctaError, ValueError) as error:
            fail_task(error)
        return spec

    def _started(
        self, context: Context, client: OctaClient, spec: JobSpec, earlier: JobState | None = None
    ) -> JobState:
        from octa_provider.remote.target import check_key, ssh_key

        switch, ti = self._switch, context["ti"]

        def remember(rental: Rental) -> None:
            switch.uuid = rental.uuid
            ti.xcom_push(key=_UUID, value=rental.uuid)

        try:
            if spec.over_ssh:
                # A key that can't be read, or none at all, would be found out when the machine bills.
                check_key(ssh_key(self._private_key))
            state = client.jobs.start(
                spec,
                rental_key(context),
                earlier=earlier,
                is_cancelled=lambda: switch.pulled and self.on_kill_action == "stop",
                on_started=remember,
                private_key=self._private_key,
            )
        except OctaError as error:
            fail_task(error)
        rental = client.rentals.restore(state.rental)
        verb = "Carrying on with" if state.attempts > 1 else "Started"
        self.log.info("%s session %s, rental key %s", verb, session_text(rental), state.key)
        ti.xcom_push(key=_SESSION, value=rental_xcom(rental))
        push(ti, None)
        TaskMemory(context).keep_job(state)
        return state

    def _go_on(self, context: Context, client: OctaClient, spec: JobSpec, state: JobState) -> Any:
        """The next step that is a worker's; then wait, here or deferred."""
        from octa_provider.job.state import JobPhase

        self._refuse_killed()
        if state.phase is JobPhase.READY:
            state = self._begun(context, client, spec, state)
        if state.ended:
            return self._ended(context, client, spec, state)
        # Sending files may have taken long.
        self._refuse_killed()
        if self.deferrable:
            self._defer(context, spec, state)
        return self._wait_here(context, client, spec, state)

    def _wait_here(self, context: Context, client: OctaClient, spec: JobSpec, state: JobState) -> Any:
        from octa_provider.job.state import JobPhase

        memory, shown = TaskMemory(context), False
        while not state.ended:
            self._refuse_killed()
            before = state
            try:
                state = client.jobs.poll(
                    state, private_key=self._private_key, on_line=self._on_line, is_cancelled=self._is_killed
                )
            except OctaError as error:
                fail_task(error)
            if state.phase is JobPhase.READY:
                state = self._begun(context, client, spec, state)
            elif state.phase is JobPhase.RUNNING and not shown:
                shown = True
                self._show(context, client, state)
            if state != before:
                memory.keep_job(state)
            if not state.ended:
                self._sleep(self._poll_s())
        return self._ended(context, client, spec, state)

    def _begun(self, context: Context, client: OctaClient, spec: JobSpec, state: JobState) -> JobState:
        self._show(context, client, state)
        try:
            return client.jobs.begin(state, spec, private_key=self._private_key, is_cancelled=self._is_killed)
        except OctaError as error:
            fail_task(error)

    def _defer(self, context: Context, spec: JobSpec, state: JobState) -> NoReturn:
        from airflow_provider.triggers.job import OctaJobTrigger
        from airflow_provider.triggers.killed_by_user import TRY_KEY
        from octa_provider.job.state import GRACE_S

        # For a trigger that is ended: whether another try has begun meanwhile.
        context["ti"].xcom_push(key=TRY_KEY, value=context["ti"].try_number)
        latest_end = state.end_by or state.ready_by + spec.timeout_s + GRACE_S
        deadline_at = task_deadline_at(self.execution_timeout, context)
        given_up_at = latest_end + _LATER_S
        if deadline_at is not None:
            given_up_at = min(given_up_at, deadline_at + _LATER_THAN_TIMEOUT_S)
        self.defer(
            trigger=OctaJobTrigger(
                octa_conn_id=self.octa_conn_id,
                job=packed(state),
                latest_end=latest_end,
                deadline_at=deadline_at,
                poll_interval=self._poll_s(),
                namespace=self._namespace,
                collects=self._must_collect(spec),
                stops=self.on_finish_action == "stop",
                stops_on_kill=self.on_kill_action == "stop",
            ),
            method_name="execute_resumed",
            # Only for a triggerer that never runs it: it calls nobody back, see `resume_execution`.
            timeout=timedelta(seconds=max(1.0, given_up_at - time.time())),
        )
        raise AssertionError("unreachable: defer raises")

    def _ended(
        self,
        context: Context,
        client: OctaClient,
        spec: JobSpec,
        state: JobState,
        result: dict[str, Any] | None = None,
    ) -> Any:
        """The outcome is known: fetch, stop unless that is done, and end the task as the job ended."""
        if self._must_begin_anew(state):
            self.log.warning("What an earlier try left has ended (%s): beginning anew", state.message)
            self._tail.clear()
            self._discard(client, state.key)
            return self._go_on(context, client, spec, self._started(context, client, spec))
        stops = self.on_finish_action == "stop"
        try:
            state, result = self._collected(client, state, result, stops)
        except OctaError as error:
            fail_task(error)
        if not stops:
            self.log.warning("Session %s runs on and bills: stop it when you have seen enough.", result["uuid"])
        self._concluded = True
        self._tell(context, result)
        raise_for_outcome(state, self._tail, self.skip_on_exit_code)
        return result

    def _collected(
        self, client: OctaClient, state: JobState, result: dict[str, Any] | None, stops: bool
    ) -> tuple[JobState, dict[str, Any]]:
        """The job with its files fetched, and what it came to, its session being stopped."""
        from airflow_provider.written_file import local_file

        with local_file(self.log_path) as log_file:
            # A session that has been stopped has no files any more, but its log.
            if result is None or not state.over_ssh:
                state = client.jobs.collect(
                    state, private_key=self._private_key, log_path=log_file.path, is_cancelled=self._is_killed
                )
            if result is None:
                result = carried_dict(client.jobs.finish(state, stop=stops).to_dict())
            return state, result | {"logs_path": log_file.saved()}

    def _must_begin_anew(self, state: JobState) -> bool:
        """Whether an adopted job is no result of this try.

        The try before may have been killed a moment ago and its session be stopping; or its failure was reported, and
        the session kept.
        """
        from octa_provider.job.result import JobOutcome

        if state.attempts == 1 or state.outcome in {JobOutcome.SUCCEEDED, JobOutcome.OVER_BUDGET}:
            # A cap that was reached has been reached under our eyes: whoever sees it stops the session.
            return False
        if state.exit_code in self.skip_on_exit_code:
            return False
        return state.outcome is JobOutcome.LOST or self.on_finish_action == "keep"

    # -- what the steps share ------------------------------------------------------------------------------------

    @property
    def _switch(self) -> KillSwitch:
        assert self._kill_switch is not None
        return self._kill_switch

    def _poll_s(self) -> float:
        return checked_deadline(self.poll_interval, "poll_interval", 5)

    def _must_collect(self, spec: JobSpec) -> bool:
        return spec.over_ssh and (bool(spec.outputs) or as_text(self.log_path) is not None)

    def _on_line(self, line: str) -> None:
        self._tail.append(line)
        self.log.info("[job] %s", plain_words(line))

    def _show(self, context: Context, client: OctaClient, state: JobState) -> None:
        try:
            push(context["ti"], client.services.session(state.rental.uuid).info())
        except OctaError as error:
            self.log.info("No links to session %s: %s", state.rental.uuid, error)

    def _tell(self, context: Context, result: dict[str, Any]) -> None:
        wei, usd = result["cost_wei"], result["cost_usd"]
        cost = cost_text(wei, usd, octa_digits=6, unknown="unknown")
        self.log.info("Job %s: %s; cost %s", result["key"], result["outcome"], cost)
        context["ti"].xcom_push(key=_COST, value={"cost_wei": wei, "cost_usd": usd, "duration_s": result["duration_s"]})
        told = {name: result[name] for name in ("uuid", "node_id", "cost_wei", "cost_usd", "outputs")}
        for outlet in self.outlets or ():
            if hasattr(outlet, "uri"):
                context["outlet_events"][outlet].extra.update(told)

    def _sleep(self, seconds: float) -> None:
        # In slices: the handler of SIGTERM only sets a flag, and SIGKILL comes five seconds later.
        until = time.monotonic() + seconds
        while not self._switch.pulled and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _NOTICE_S))

    def _is_killed(self) -> bool:
        return self._switch.pulled

    def _refuse_killed(self) -> None:
        if self._switch.pulled:
            raise AirflowException("The task was killed.")

    def _discard(self, client: OctaClient, key: str) -> None:
        try:
            for bill in client.rentals.stop(key):
                self.log.info("Stopped session %s of an earlier try", bill.uuid)
        except OctaError as error:
            fail_task(error)

    def _fail_stopped(self, event: dict[str, Any], client: OctaClient, key: str) -> NoReturn:
        if event["what"] == "deadline":
            raise AirflowTaskTimeout(f"The task did not end within {self.execution_timeout}; its session was stopped.")
        raise AirflowException(f"The job {key} could not be watched: {event['message']}")

    def _stop_after(
        self,
        error: BaseException,
        client: OctaClient,
        key: str,
        uuid: str | None = None,
        context: Context | None = None,
    ) -> None:
        """Leave nothing when the task fails or is killed, unless it says `keep`; a task that defers has not failed."""
        if isinstance(error, TaskDeferred) or self._concluded:
            return
        if self.on_kill_action == "keep" and self._kill_switch is not None and self._kill_switch.pulled:
            return
        # The key alone does not find a session whose environment is not echoed, or that a list misses.
        stop_after(error, client, key, uuid or self._known_uuid(), context=context)

    def _uuid_in_xcom(self, context: Context) -> str | None:
        ti = context["ti"]
        found = ti.xcom_pull(task_ids=self.task_id, key=_UUID, map_indexes=ti.map_index)
        return found if isinstance(found, str) else None

    def _known_uuid(self) -> str | None:
        return None if self._kill_switch is None else self._kill_switch.uuid


def _key_told_by(event: Mapping[str, Any]) -> str | None:
    """The whole rental key of the job that an event is about, where the client that knows its namespace is missing."""
    job = event.get("job")
    key = job.get("key") if isinstance(job, Mapping) else None
    return key if isinstance(key, str) else None


def uuid_told_by(event: Mapping[str, Any]) -> str | None:
    """The session that an event is about; one of another version of this package may tell it in another way."""
    job = event.get("job")
    rental = job.get("rental") if isinstance(job, Mapping) else None
    return rental.get("uuid") if isinstance(rental, Mapping) else None


def _unless_stopped_meanwhile(client: OctaClient, state: JobState) -> JobState:
    """The state a trigger handed over; but lost, or over budget, when its session was stopped before a worker came."""
    from octa_provider.job.result import JobOutcome
    from octa_provider.rental.wait import look, over_budget

    rental = state.rental
    try:
        session = look(client, rental.uuid)
        if session is not None and session.finished_at is None:
            return state
        ended = next((one for one in client.sessions.list(recent=True) if one.uuid == rental.uuid), session)
    except OctaError:
        # It is looked at again by what comes next.
        return state
    cap = None if ended is None else over_budget(rental, ended)
    if cap is not None:
        return state.ending(JobOutcome.OVER_BUDGET, f"session {rental.uuid} {cap}; it was stopped", state.exit_code)
    left = "the command was begun" if state.exit_code is None else "its files were fetched"
    message = f"session {rental.uuid} was stopped before {left}: no worker took the task over in time"
    return state.ending(JobOutcome.LOST, message, state.exit_code)
