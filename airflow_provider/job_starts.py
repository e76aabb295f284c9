"""The starts of a job on a worker, what an earlier try has left among them, and who is told of them.

Imported by a task that runs, not by a DAG file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airflow_provider.failure import fail_task
from airflow_provider.job_xcom import JobXCom
from airflow_provider.namespace import shares_namespace_text
from airflow_provider.rental_key import rental_key
from airflow_provider.task_memory import TaskMemory
from octa_provider.errors import OctaError, OctaNoMachineError
from octa_provider.remote.target import check_key, ssh_key
from octa_provider.rental.session_text import session_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider.kill_switch import KillSwitch
    from airflow_provider.lineage.run_bill import RunBill
    from octa_provider import JobSpec, JobState, OctaClient, Rental
    from octa_provider.job.teller import JobTeller

__all__ = ["StartsJob"]


@dataclass(kw_only=True)
class StartsJob:
    """The job of one task, in one process of it, as far as it is started.

    Attributes:
        operator: the task's; its outlets are told, and its log is written to.
        context: of the task.
        client: the API.
        spec: the job.
        kill_switch: tells that the task is killed, and is told the session.
        private_key: for SSH; None for what the core finds itself.
        stops_on_kill: whether a kill ends a start that is under way.
        told: tells what happens; None for nobody.
        run_bill: is told what was rented, and what it came to.
        wait_for_machine_s: seconds that a start waits here for a machine.
        no_machine: told why nothing could be rented; raises, to wait elsewhere or to fail.
        is_linked: whether the task's links lead to the session.
        is_stopped: whether the machine never came up, was stopped, and no other one took its place.
    """

    operator: BaseOperator
    context: Context
    client: OctaClient
    spec: JobSpec
    kill_switch: KillSwitch
    private_key: str | Path | None = field(repr=False)
    stops_on_kill: bool
    told: JobTeller | None
    run_bill: RunBill
    wait_for_machine_s: float
    no_machine: Callable[[OctaNoMachineError], NoReturn]
    is_linked: bool = False
    is_stopped: bool = False

    def __post_init__(self) -> None:
        """Find what the task tells others, and what its tries tell each other."""
        self.xcom, self.memory = JobXCom(self.context), TaskMemory(self.context)

    def start(self, earlier: JobState | None = None) -> JobState:
        """Start the job, or carry on with what an earlier try started.

        Args:
            earlier: how far an earlier try has told it to be, if it did.

        Raises:
            TaskDeferred: the triggerer waits for a machine.
            OctaTaskError, AirflowFailException: it could not be started; see `fail_task`.
        """
        known = self.kill_switch.uuid
        try:
            if self.spec.over_ssh:
                # A key that can't be read, or none at all, would be found out when the machine bills.
                check_key(ssh_key(self.private_key))
            state = self.client.jobs.start(
                self.spec,
                rental_key(self.context),
                earlier=earlier,
                is_cancelled=self._is_start_cancelled,
                on_started=self._remember,
                private_key=self.private_key,
                wait_for_machine_s=self.wait_for_machine_s,
                on_waiting=self.operator.log.info,
            )
        except OctaNoMachineError as error:
            self.no_machine(error)
        except OctaError as error:
            fail_task(error)
        self._tell_started(state)
        if state.attempts > 1 and self.context["ti"].try_number == 1 and state.rental.uuid != known:
            self.operator.log.warning(
                "Session %s was there before this task's first try. If no run of this name that was deleted, and no "
                "worker of this try that vanished, has left it, then %s, which stops it as well: give each Airflow a "
                "namespace of its own",
                state.rental.uuid,
                shares_namespace_text(self.client.namespace),
            )
        return state

    def start_elsewhere(self, state: JobState) -> JobState:
        """Stop the machine, which never came up, and start on another; the same state where there is none.

        Args:
            state: the job.

        Raises:
            OctaTaskError, AirflowFailException: it could not be started; see `fail_task`.
        """
        try:
            started = self.client.jobs.start_elsewhere(
                state,
                self.spec,
                private_key=self.private_key,
                is_cancelled=self._is_start_cancelled,
                on_started=self._remember,
            )
        except OctaError as error:
            fail_task(error)
        self.is_stopped = started.rental.uuid == state.rental.uuid
        if not self.is_stopped:
            self._tell_started(started)
        return started

    def _is_start_cancelled(self) -> bool:
        return self.kill_switch.pulled and self.stops_on_kill

    def _remember(self, rental: Rental) -> None:
        self.kill_switch.uuid = rental.uuid
        self.run_bill.rented(rental)
        self.xcom.tell_uuid(rental.uuid)

    def _tell_started(self, state: JobState) -> None:
        self.is_linked = False
        rental = self.client.rentals.restore(state.rental)
        verb = "Carrying on with" if state.attempts > 1 else "Started"
        self.operator.log.info("%s session %s, rental key %s", verb, session_text(rental), state.key)
        for one in state.tried:
            self.run_bill.had_before(asdict(one))
        self.run_bill.rented(rental)
        self.xcom.tell_session(rental)
        self.memory.keep_job(state)
        self.tell(state)

    def tell(self, state: JobState) -> None:
        """Tell `on_event` how far the job is.

        Args:
            state: how far it is.
        """
        if self.told is not None:
            self.told.saw(state)

    def discard(self, key: str, why: str = "") -> None:
        """Stop what an earlier try has left.

        Args:
            key: the rental key.
            why: it is not carried on with, where it was.

        Raises:
            OctaTaskError, AirflowFailException: it could not be stopped; see `fail_task`.
        """
        try:
            bills = self.client.rentals.stop(key, leaves_kept=True)
        except OctaError as error:
            fail_task(error)
        for bill in bills:
            self.operator.log.info("Stopped session %s of an earlier try", bill.uuid)
        if self.told is not None:
            self.told.cut_short(why, bills)
