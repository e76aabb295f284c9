"""Jobs: a command run to completion on a rented machine, by one process or by several that carry on from each other.

`Jobs.run` does it all. Its parts (`start`, `poll`, `begin`, `collect`, `finish`) pass one small JSON value, `JobState`,
from each to the next, so that an operator can defer, a worker can die, and the next try carries on with the same
machine and the same running command. A try that has lost the state too calls `start` again: the rental key finds the
session, and the session's environment tells which run it is.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from octa_provider.api.sessions import APPEARING_S
from octa_provider.errors import (
    OctaBudgetError,
    OctaCancelledError,
    OctaConfigError,
    OctaError,
    OctaLocalFileError,
    OctaNotFoundError,
    OctaSshError,
)
from octa_provider.job.log import save_job_log
from octa_provider.job.over_ssh import OutputFetch, begin_detached
from octa_provider.job.poll import JobLook, OnLine, overdue, running, spends_too_much, ssh_key
from octa_provider.job.result import JobOutcome, JobResult
from octa_provider.job.run import see_to_the_end
from octa_provider.job.script import container_command, log_keeper_command
from octa_provider.job.spec import JOB_ENV, JobSpec
from octa_provider.job.state import JobPhase, JobState
from octa_provider.models import SessionPhase
from octa_provider.remote.target import SshTarget, check_key, client_keys
from octa_provider.rental.rental import Rental
from octa_provider.rental.stop import stop_command
from octa_provider.rental.terms import Bill
from octa_provider.rental.wait import look, refuse_over_budget
from octa_provider.text.plain_log import plain_logger
from octa_provider.timing.asking import ask_until, is_transient
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.remote.transfer import OnTransfer
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals

log = plain_logger("octa_provider.job.jobs")

COLLECT_S = 600.0
KEPT = ": make room; the results are kept on the machine, which bills, for {:.0f} s"
ADOPT_S = 60.0


class Jobs:
    """`client.jobs`.

    Args:
        api: the API.
        rentals: what starts and stops on it.
    """

    def __init__(self, api: RentalApi, rentals: Rentals) -> None:
        self._api = api
        self._rentals = rentals

    def run(
        self,
        spec: JobSpec,
        key: str,
        *,
        private_key: str | Path | None = None,
        log_path: str | os.PathLike[str] | None = None,
        on_line: OnLine | None = None,
        on_unfinished: OnLine | None = None,
        on_state: Callable[[JobState], object] | None = None,
        earlier: JobState | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        poll_s: float = 5.0,
        on_transfer: OnTransfer | None = None,
    ) -> JobResult:
        """Rent, run to completion, collect, and stop on every way out.

        Args:
            spec: the job.
            key: the rental key: who runs the same key carries on with the same machine and the same running command.
            private_key: for SSH: the text of a private key or the path of its file; else the file that the environment
                variable `OCTA_SSH_KEY_FILE` names, else the agent and the default files.
            log_path: a file that gets the command's output.
            on_line: called with each line of the command's output, control characters neutralised. What it raises is
                logged once and does not end the job: `is_cancelled` does that.
            on_unfinished: called, as `on_line`, with the states of a line that is drawn anew, as a progress bar, while
                it has not ended: for `ProgressTracker.feed_unfinished`. The line comes once, as it stands at its end.
            on_state: called with the state whenever it has changed, to write it down.
            earlier: what an earlier try wrote down, so that no line comes again; without it the key alone finds what
                runs, and its output comes from the start.
            is_cancelled: asked between two looks, and while files move; when it says yes the session is stopped.
            poll_s: seconds between two looks.
            on_transfer: called now and then with how far the files are that move.

        Returns:
            How it ended; a command that failed is a result, not an error.

        Raises:
            OctaNoMachineError, OctaBudgetError: nothing could be rented.
            OctaCancelledError: `is_cancelled` said yes; the session was stopped.
            OctaStopError: the session could not be stopped in time, and may still bill.
        """
        if spec.over_ssh:
            # What a wrong key or a missing library would fail for is known before any money is spent.
            check_key(ssh_key(private_key))
        key = self._rentals.full_key(key)
        return see_to_the_end(
            self,
            self._rentals,
            lambda on_started: self.start(
                spec,
                key,
                earlier=earlier,
                is_cancelled=is_cancelled,
                on_started=on_started,
                private_key=ssh_key(private_key),
            ),
            spec,
            key,
            private_key=private_key,
            log_path=log_path,
            on_line=on_line,
            on_unfinished=on_unfinished,
            on_state=on_state,
            is_cancelled=is_cancelled,
            poll_s=poll_s,
            on_transfer=on_transfer,
        )

    def watch(
        self,
        state: JobState,
        spec: JobSpec,
        *,
        private_key: str | Path | None = None,
        log_path: str | os.PathLike[str] | None = None,
        on_line: OnLine | None = None,
        on_unfinished: OnLine | None = None,
        on_state: Callable[[JobState], object] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        poll_s: float = 5.0,
        on_transfer: OnTransfer | None = None,
    ) -> JobResult:
        """The rest of `run` for a job that has been started: nothing is ever started anew.

        Args:
            state: from `start`, or how far the job was when somebody last looked.
            spec: the job.
            private_key, log_path, on_line, on_unfinished, on_state, is_cancelled, poll_s, on_transfer: as in `run`.

        Raises:
            OctaCancelledError: `is_cancelled` said yes; the session was stopped.
            OctaStopError: the session could not be stopped in time, and may still bill.
        """
        return see_to_the_end(
            self,
            self._rentals,
            lambda on_started: state,
            spec,
            state.key,
            private_key=private_key,
            log_path=log_path,
            on_line=on_line,
            on_unfinished=on_unfinished,
            on_state=on_state,
            is_cancelled=is_cancelled,
            poll_s=poll_s,
            on_transfer=on_transfer,
        )

    # -- the parts -----------------------------------------------------------------------------------------------

    def start(
        self,
        spec: JobSpec,
        key: str,
        *,
        earlier: JobState | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        on_started: Callable[[Rental], object] | None = None,
        private_key: str | Path | None = None,
    ) -> JobState:
        """Rent a machine for the job, or adopt the one that the key already has. Does not wait for it.

        Args:
            spec: the job.
            key: the rental key.
            earlier: what an earlier try of this key wrote down, if anything: when its session still runs, its place in
                the log, its deadlines and the host key that it pinned are kept.
            is_cancelled: as in `Rentals.start`.
            on_started: as in `Rentals.start`.
            private_key: as in `run`; one that can't be read is refused before anything is rented.

        Raises:
            OctaConfigError: an input is missing or can't be read, an output can't be written, the private key can't be
                read, or the rental key belongs to a session that is no job.
            OctaError: as `Rentals.start`.
        """
        fingerprint = spec.fingerprint_of(spec.check_inputs())
        spec.check_outputs()
        if spec.over_ssh:
            client_keys(SshTarget("", 0, private_key=ssh_key(private_key)))
        nonce = secrets.token_hex(8)
        command = log_keeper_command() if spec.over_ssh else container_command(spec.command_line, spec.timeout_s)
        request = spec.request(command, {JOB_ENV: f"{nonce}:{fingerprint}"})

        def is_this_job(session: Session) -> bool:
            return _run_of(session, key, fingerprint) is not None

        for _ in range(2):
            rental = self._rentals.start(
                request,
                key=key,
                requirements=spec.requirements,
                max_cost_usd=spec.max_cost_usd,
                fingerprint=fingerprint,
                attempt=nonce,
                is_wanted=is_this_job,
                is_cancelled=is_cancelled,
                on_started=on_started,
            )
            found = self._nonce_of(rental, fingerprint, nonce) if rental.adopted else nonce
            if found is not None:
                if earlier is not None and (earlier.nonce, earlier.rental.uuid) == (found, rental.uuid):
                    return self._carried_on(earlier, spec, rental)
                return self._state(rental, spec, found, attempts=1 if found == nonce else 2)
            log.warning("the session of %s is gone: started anew", key)
            rental.stop()
        raise OctaConfigError(f"the key {key} is used for two different jobs at the same time: give each its own")

    def poll(
        self,
        state: JobState,
        *,
        private_key: str | Path | None = None,
        on_line: OnLine | None = None,
        on_unfinished: OnLine | None = None,
        session: Session | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> JobState:
        """Look once, and return how far the job has come. Outages change nothing.

        Args:
            state: from `start`, `begin` or the last `poll`.
            private_key: as in `run`.
            on_line: called with each new line of the command's output.
            on_unfinished: as in `run`.
            session: the job's session as it was seen a moment ago, by `job_wait` for one; it is not asked for again.
            is_cancelled: asked while something arrives from the API; when it says yes, the look is cut short.

        Raises:
            OctaError: the API refused the key, or a session over its budget could not be stopped.
        """
        if state.ended:
            return state
        return JobLook(self._api, state, private_key, on_line, is_cancelled, on_unfinished).state(session)

    def begin(
        self,
        state: JobState,
        spec: JobSpec,
        *,
        private_key: str | Path | None = None,
        on_transfer: OnTransfer | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> JobState:
        """Send the inputs and start the command over SSH, when the phase is `READY`.

        Safe to repeat: a command that was begun goes on, and nothing is sent to it, whoever asks again. A machine that
        can't be reached yet, or does not know the key yet, is asked again by the next call, until the deadline.

        Args:
            state: from `poll`.
            spec: the job.
            private_key: as in `run`.
            on_transfer: called now and then with how far the inputs are.
            is_cancelled: asked again and again while files move.

        Raises:
            OctaConfigError: an input is not there any more.
            OctaCancelledError: `is_cancelled` said yes; the session still runs.
        """
        rental = self._rentals.restore(state.rental)
        session: Session | None = None
        try:
            session = rental.info()
            host_key = begin_detached(
                session, state, spec, ssh_key(private_key), on_progress=on_transfer, is_cancelled=is_cancelled
            )
        except OctaError as error:
            if isinstance(error, OctaSshError) and not error.lost:
                return state.ending(JobOutcome.FAILED, str(error))
            # A session that has just gone is for the next poll to judge.
            if not isinstance(error, (OctaSshError, OctaNotFoundError)) and not is_transient(error):
                raise
            # A machine that is not up yet says the same at every look.
            if state.message != str(error):
                log.warning("the job %s can't begin yet, and is tried again: %s", state.key, error)
            if isinstance(error, OctaSshError):
                state = state.having(message=str(error))
            return overdue(state, self._api.clock, session=session)
        return running(state, self._api.clock, session, host_key=host_key)

    def collect(
        self,
        state: JobState,
        *,
        private_key: str | Path | None = None,
        log_path: str | os.PathLike[str] | None = None,
        on_transfer: OnTransfer | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> JobState:
        """Fetch the outputs and the log of a job that has ended. A success whose outputs are missing is none.

        The machine, and so the results, are kept while fetching fails, for ten minutes at most since anything arrived,
        and not past the cap on cost.

        Args:
            state: from the last `poll`.
            private_key, log_path: as in `run`.
            on_transfer: called now and then with how far the outputs are.
            is_cancelled: asked again and again while files move.

        Raises:
            OctaCancelledError: `is_cancelled` said yes; the session still runs.
        """
        if state.phase is not JobPhase.EXITED:
            return state
        if not state.over_ssh or state.exit_code is None:
            if log_path is not None:
                self._save_log(state, log_path, is_cancelled)
            return state.having(phase=JobPhase.COLLECTED)
        rental, errors = self._rentals.restore(state.rental), list[str]()
        enough: Callable[[], bool] = bool
        fetch = OutputFetch(
            state,
            ssh_key(private_key),
            log_path,
            on_progress=on_transfer,
            is_cancelled=lambda: is_cancelled() or enough(),
        )
        deadline = Deadline(self._api.clock, COLLECT_S)
        while True:
            before = fetch.files
            try:
                session = rental.info()
                refuse_over_budget(self._api, rental, session)
                enough = spends_too_much(rental, session, self._api.clock)
                fetch.once(session)
                break
            except OctaCancelledError:
                if is_cancelled():
                    raise
                # The cap: what the API says of the cost is looked at next.
            except OctaBudgetError as error:
                state = state.ending(JobOutcome.OVER_BUDGET, str(error), state.exit_code)
                break
            except OctaError as error:
                is_ours = isinstance(error, OctaLocalFileError)
                again = is_ours or (error.lost if isinstance(error, OctaSshError) else is_transient(error))
                if fetch.files != before:
                    deadline = Deadline(self._api.clock, COLLECT_S)
                if not again or deadline.passed:
                    errors.append(str(error))
                    break
                kept = KEPT.format(deadline.left_s) if is_ours else ""
                log.warning("collecting from %s: %s%s", rental.uuid, error, kept)
                deadline.pause(5.0)
                if is_cancelled():
                    raise OctaCancelledError(f"the job {state.key} was cancelled; its outputs are not here") from None
        errors = [*fetch.errors, *errors]
        files = fetch.files
        if not errors:
            return state.having(phase=JobPhase.COLLECTED, collected=files)
        outcome = JobOutcome.FAILED if state.outcome is JobOutcome.SUCCEEDED else state.outcome
        message = " ".join(text for text in (state.message, "; ".join(errors)) if text)
        return state.having(phase=JobPhase.COLLECTED, outcome=outcome, message=message, collected=files)

    def finish(
        self, state: JobState, *, log_path: str | os.PathLike[str] | None = None, stop: bool = True
    ) -> JobResult:
        """Stop the session for certain, and say what the job came to.

        Args:
            state: from `collect`, or from the last `poll` when there is nothing to fetch.
            log_path: the file that `collect` was given.
            stop: False leaves the session running, and billing; the cost is then what it has come to so far.

        Raises:
            OctaStopError: the session could not be stopped in time, and may still bill.
        """
        rental = self._rentals.restore(state.rental)
        deadline = Deadline(self._api.clock, ADOPT_S)
        bill = (
            rental.stop()
            if stop
            else rental.bill(ask_until(deadline, lambda: look(self._api.within(deadline), rental.uuid)))
        )
        return self._result(state, rental, bill, log_path)

    # -- what the parts share ------------------------------------------------------------------------------------

    def _state(self, rental: Rental, spec: JobSpec, nonce: str, attempts: int) -> JobState:
        now = self._api.clock.steady_time()
        return JobState(
            key=rental.key or "",
            rental=rental.terms,
            nonce=nonce,
            over_ssh=spec.over_ssh,
            timeout_s=spec.timeout_s,
            appear_by=now + APPEARING_S,
            ready_by=now + spec.ready_timeout_s,
            ready_timeout_s=spec.ready_timeout_s,
            clock=self._api.clock.identity,
            outputs=_local_names(spec),
            attempts=attempts,
        )

    def _carried_on(self, earlier: JobState, spec: JobSpec, rental: Rental) -> JobState:
        # What the earlier try has fetched may lie on another worker: this one fetches it again.
        return earlier.having(
            # With the caps of now; when it was first rented, its price was known better.
            rental=msgspec.structs.replace(
                earlier.rental,
                max_cost_usd=rental.max_cost_usd,
                max_price_usd=rental.max_price_usd,
                key=rental.key,
                claim=rental.claim,
            ),
            attempts=earlier.attempts + 1,
            outputs=_local_names(spec),
            phase=JobPhase.EXITED if earlier.ended else earlier.phase,
            collected=(),
        )

    def _nonce_of(self, rental: Rental, fingerprint: str, ours: str) -> str | None:
        """Which run an adopted session is: its nonce, or None when it is another job than this one, or gone."""
        deadline = Deadline(self._api.clock, ADOPT_S)
        session = ask_until(deadline, lambda: look(self._api.within(deadline), rental.uuid))
        if session is None or session.phase is SessionPhase.FINISHED:
            return None
        if session.rental_key is None:
            # Not echoed: what the try that started it wrote down names the run.
            return rental.claim or ours
        return _run_of(session, rental.key or "", fingerprint)

    def _save_log(self, state: JobState, log_path: str | os.PathLike[str], is_cancelled: Callable[[], bool]) -> None:
        try:
            save_job_log(self._api, state, log_path, is_cancelled)
        except OctaError as error:
            if not is_transient(error):
                raise
            # The outcome does not hang on it, and the machine bills while we would try again.
            log.warning("the log of %s can't be read, and is not saved: %s", state.key, error)
        except OSError as error:
            log.warning("the log of %s can't be written: %s", state.key, error)

    def _result(
        self, state: JobState, rental: Rental, bill: Bill, log_path: str | os.PathLike[str] | None
    ) -> JobResult:
        return JobResult(
            exit_code=state.exit_code,
            outcome=state.outcome or JobOutcome.LOST,
            message=state.message,
            logs_path=None if log_path is None or not Path(log_path).is_file() else os.fspath(log_path),
            outputs=state.collected,
            cost_wei=bill.charge_wei,
            cost_usd=bill.charge_usd,
            duration_s=bill.duration_s,
            node_id=rental.node_id,
            uuid=rental.uuid,
            key=state.key,
            attempts=state.attempts,
        )


def _run_of(session: Session, key: str, wanted: str) -> str | None:
    """The nonce of the run that a session is; None when it is another job than this one.

    Raises:
        OctaConfigError: it is no job at all, so that somebody may be using it.
    """
    if session.rental_key is None:
        return ""
    nonce, _, fingerprint = (session.user_envs or {}).get(JOB_ENV, "").partition(":")
    if not fingerprint:
        raise OctaConfigError(
            f"{key} is the key of session {session.uuid}, which is no job: stop it first: "
            f"{stop_command([session.uuid])}"
        )
    return nonce if fingerprint == wanted else None


def _local_names(spec: JobSpec) -> dict[str, str]:
    return {remote: os.fspath(local) for remote, local in spec.outputs.items()}
