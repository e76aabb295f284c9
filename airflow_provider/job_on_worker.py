"""A job on a worker: whatever the core says comes next is carried out here, until the job has ended or is handed on.

Imported by a task that runs, not by a DAG file: what is needed to follow a job takes its time to import.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider.failure import fail_task
from airflow_provider.job_ending import raise_for_outcome
from airflow_provider.job_starts import StartsJob
from airflow_provider.odd_value import why_not_carried
from airflow_provider.shared_files import begun_text, fetched_text
from airflow_provider.told_outputs import told_outputs
from airflow_provider.try_note import forget_try
from airflow_provider.written_file import local_file
from octa_provider.errors import OctaError
from octa_provider.job.keeping import when_text
from octa_provider.job.look_pace import LookPace
from octa_provider.job.next_step import Begin, BeginAnew, Collect, Finish, StartElsewhere, Step, Wait, next_step
from octa_provider.job.result import JobOutcome
from octa_provider.job.state import JobPhase
from octa_provider.rental.stop import stop_command
from octa_provider.rental.tried_machine import TriedMachine
from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import shown_duration
from octa_provider.watch.watcher import watcher_for
from octa_provider.wire.money import cost_text

if TYPE_CHECKING:
    from airflow_provider.written_file import FileArgument
    from octa_provider import JobState
    from octa_provider.models import Session
    from octa_provider.remote.transfer import TransferProgress
    from octa_provider.watch.watcher import Watcher

__all__ = ["TAIL_LINES", "JobOnWorker"]

#: So many of the last lines are told with a failure.
TAIL_LINES = 20
#: A wait asks so often whether the task is killed: Airflow 3 gives it five seconds then.
NOTICE_KILL_S = 0.25


@dataclass(kw_only=True)
class JobOnWorker(StartsJob):
    """The job of one task, in one process of it.

    Attributes:
        operator, context, client, spec, kill_switch, private_key, stops_on_kill, told, run_bill, wait_for_machine_s,
            no_machine, is_linked, is_stopped: as of `StartsJob`.
        poll_s: seconds between two looks.
        log_path: what gets the command's whole output; None for nothing.
        skip_on_exit_code: exit codes that skip the task.
        keeps_session: whether the session runs on when the job has ended.
        defer: hands the job on to the triggerer, and raises; None waits for it here.
        tail: the last lines that the command printed.
        was_deferred: whether this try has come back from the triggerer.
    """

    poll_s: float
    log_path: FileArgument | None
    skip_on_exit_code: Collection[int]
    keeps_session: bool
    defer: Callable[[JobState], NoReturn] | None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    was_deferred: bool = False

    def see_to_the_end(self, state: JobState, *, result: dict[str, Any] | None = None, stays: bool = False) -> Any:
        """Carry out what comes next, and what comes next then, until the job has ended.

        Args:
            state: how far it is.
            result: what the triggerer told it came to, when the session has been stopped there.
            stays: whether this job is waited for here although the task could defer.

        Returns:
            `JobResult` as a dict, of a job that succeeded; with a `result_file` the value that it holds.

        Raises:
            TaskDeferred: the triggerer waits for it.
            AirflowSkipException: it ended with a code that means: skip.
            OctaTaskError, AirflowFailException: it ended otherwise, or can't be seen to its end; see
                `raise_for_outcome` and `fail_task`.
        """
        # The triggerer has just looked at what it could not watch.
        is_looked_at, is_begin_tried = False, stays
        self.tell(state)
        with local_file(self.log_path) as log_file, watcher_for(self.client, self.poll_s) as watcher:
            pace = self._pace(watcher)
            while True:
                before, step = state, self._next_step(state, result, is_begin_tried)
                if isinstance(step, Begin | Wait | StartElsewhere):
                    # A task that is killed rents no further machine, also where it leaves the one it has.
                    self.kill_switch.refuse()
                match step:
                    case Begin():
                        defers = self.defer is not None and not stays
                        state, is_begin_tried = self._begin(state, None if defers else pace.hurry), True
                    case Wait() if self.defer is not None and not stays:
                        self.defer(state)
                    case Wait():
                        session = self._until_due(pace, state) if is_looked_at else None
                        state, is_looked_at, is_begin_tried = self._look(state, session, pace), True, False
                    case BeginAnew(why):
                        self.operator.log.warning("What an earlier try left has ended (%s): beginning anew", why)
                        self.tail.clear()
                        self.discard(state.key, why)
                        before = state = self.start()
                        self.is_stopped, pace = False, self._pace(watcher)
                        result, stays, is_looked_at, is_begin_tried = None, False, False, False
                    case StartElsewhere(why):
                        self.operator.log.warning("The machine never came up (%s): stopping it, trying another", why)
                        self.tail.clear()
                        state, pace = self.start_elsewhere(state), self._pace(watcher)
                        stays, is_looked_at, is_begin_tried = False, False, False
                    case Collect():
                        before = state = self._collect(state, log_file.path)
                    case Finish():
                        if result is None or (result.get("kept_until") is not None and self._is_kept_by_nobody(state)):
                            result = self._finish(state)
                        result = result | {"logs_path": log_file.saved()}
                        self.run_bill.job_ended(result)
                        return self._conclude(state, told_outputs(result, self.operator.log.info))
                if state != before and state.phase is not JobPhase.READY:
                    # That its machine is up the next try sees itself, and the command waits to be begun.
                    self.memory.keep_job(state)
                self.tell(state)

    def _next_step(self, state: JobState, result: dict[str, Any] | None, is_begin_tried: bool) -> Step:
        return next_step(
            state,
            now=self.client.clock.steady_time(),
            # A session that has been stopped has no files any more, but its log.
            collects=result is None or not state.over_ssh,
            keeps_session=self.keeps_session,
            accepted_codes=self.skip_on_exit_code,
            # What could not be fetched from a machine is a failure of this try.
            may_begin_anew=state.phase is not JobPhase.COLLECTED,
            is_begin_tried=is_begin_tried,
            may_start_elsewhere=result is None,
        )

    def _pace(self, watcher: Watcher) -> LookPace:
        return LookPace(watcher, self.client.clock, self.poll_s, asked_every_s=NOTICE_KILL_S)

    def _until_due(self, pace: LookPace, state: JobState) -> Session | None:
        """Wait until the job is worth a look; returns its session where a list has just shown it."""
        try:
            session = pace.wait_until_due(state, self._is_killed)
        except OctaError as error:
            fail_task(error)
        self.kill_switch.refuse()
        return session

    def _begin(self, state: JobState, on_end: Callable[[], object] | None) -> JobState:
        def link_meanwhile(progress: TransferProgress) -> None:
            # The command does not wait for its links, which Airflow may take seconds for.
            if progress.files_done < progress.files_total:
                self._link_once(state)

        before = self.client.clock.monotonic()
        try:
            begun = self.client.jobs.begin(
                state,
                self.spec,
                private_key=self.private_key,
                on_transfer=link_meanwhile,
                is_cancelled=self._is_killed,
                on_end=on_end,
            )
        except OctaError as error:
            fail_task(error)
        if begun.phase is JobPhase.RUNNING:
            took_s = self.client.clock.monotonic() - before
            self.operator.log.info("%s", begun_text(len(self.spec.inputs), took_s))
            self._link_once(begun)
        return begun

    def _look(self, state: JobState, session: Session | None, pace: LookPace) -> JobState:
        try:
            state = self.client.jobs.poll(
                state,
                session=session,
                private_key=self.private_key,
                on_line=self._on_line,
                is_cancelled=self._is_killed,
                reads_log=pace.reads_log,
                on_end=pace.hurry,
            )
        except OctaError as error:
            fail_task(error)
        if state.phase is JobPhase.RUNNING:
            self._link_once(state)
        return state

    def _collect(self, state: JobState, log_path: str | None) -> JobState:
        before = self.client.clock.monotonic()
        try:
            collected = self.client.jobs.collect(
                state, private_key=self.private_key, log_path=log_path, is_cancelled=self._is_killed
            )
        except OctaError as error:
            fail_task(error)
        if collected.collected:
            took_s = self.client.clock.monotonic() - before
            self.operator.log.info("%s", fetched_text(len(collected.collected), took_s))
        why = why_not_carried(collected.value)
        return collected if why is None else _without_value(collected, why)

    def _finish(self, state: JobState) -> dict[str, Any]:
        if self._is_kept_by_nobody(state):
            state = state.having(keep_failed_s=None)
        try:
            return self.client.jobs.finish(state, stop=not self._stays).to_json()
        except OctaError as error:
            fail_task(error)

    def _is_kept_by_nobody(self, state: JobState) -> bool:
        """Whether a command that failed is none that anybody looks into: it means: skip, or the task was killed."""
        return state.exit_code in self.skip_on_exit_code or self.kill_switch.pulled

    def _conclude(self, state: JobState, result: dict[str, Any]) -> Any:
        """Nothing is left to do but to tell: the task ends as the job ended."""
        log = self.operator.log
        kept_until = result.get("kept_until")
        if kept_until is not None:
            log.warning(
                "Session %s is kept since its command failed, and BILLS ON, until %s at most: the cost told here goes "
                "on. Stop it now: %s",
                *(result["uuid"], when_text(kept_until), stop_command([result["uuid"]])),
            )
        elif not self._stays:
            log.info("Stopped session %s after %s", result["uuid"], shown_duration(result["duration_s"]))
        else:
            log.warning("Session %s runs on and bills: stop it when you have seen enough.", result["uuid"])
        self.kill_switch.concluded = True
        cost = cost_text(result["cost_wei"], result["cost_usd"], octa_digits=6, unknown="unknown")
        log.info("Job %s: %s; cost %s", result["key"], result["outcome"], cost)
        self.xcom.tell_result(self.operator, result)
        if self.told is not None and not self.keeps_session and kept_until is None:
            # Amounts of wei are text in it.
            wei = result["cost_wei"]
            tried = [TriedMachine.from_dict(one) for one in result["tried"]]
            self.told.stopped(None if wei is None else int(wei), result["cost_usd"], result["duration_s"], tried)
        if self.spec.result_file is not None:
            self.xcom.tell_job(result)
        if self.was_deferred and not self._stays:
            # A trigger that is ended late would take a session that is kept for one that nobody needs.
            forget_try(self.context["ti"])
        raise_for_outcome(state, self.tail, self.skip_on_exit_code)
        return result if self.spec.result_file is None else result["value"]

    def _link_once(self, state: JobState) -> None:
        if self.is_linked:
            return
        self.is_linked = True
        try:
            session = self.client.services.session(state.rental.uuid).info()
            self.run_bill.seen(session)
            self.xcom.link(session)
        except OctaError as error:
            self.operator.log.info("No links to session %s: %s", state.rental.uuid, error)

    def _on_line(self, line: str) -> None:
        self.tail.append(line)
        self.operator.log.info("[job] %s", plain_words(line))
        if self.told is not None:
            self.told.line(line)

    def _is_killed(self) -> bool:
        return self.kill_switch.pulled

    @property
    def _stays(self) -> bool:
        """Whether the session runs on when the task ends."""
        return self.keeps_session and not self.is_stopped


def _without_value(state: JobState, why: str) -> JobState:
    """A job whose value Airflow can't carry: one that succeeded has failed, as one that has left none."""
    if state.outcome is not JobOutcome.SUCCEEDED:
        return state.having(value=None)
    said = f"the command succeeded, but its result file {state.result_file} is no value for Airflow: {why}"
    return state.having(value=None, outcome=JobOutcome.FAILED, message=said)
