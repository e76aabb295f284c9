"""Jobs: a command run to completion on a rented machine, by one process or by several that carry on from each other.

`Jobs.run` does it all. Its parts (`start`, `poll`, `begin`, `collect`, `finish`) pass one small JSON value, `JobState`,
from each to the next, so that an operator can defer, a worker can die, and the next try carries on with the same
machine and the same running command. A try that has lost the state too calls `start` again: the rental key finds the
session, and the session's environment tells which run it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.files.placed import check_log_place
from octa_provider.job.begin import begin_job
from octa_provider.job.collect import collect_job
from octa_provider.job.elsewhere import start_elsewhere
from octa_provider.job.events import OnEvent
from octa_provider.job.finish import finish_job
from octa_provider.job.line_listener import OnLine
from octa_provider.job.poll import JobPoll
from octa_provider.job.result import JobResult
from octa_provider.job.run import see_to_the_end
from octa_provider.job.spec import JobSpec
from octa_provider.job.start import start_job
from octa_provider.job.state import JobState
from octa_provider.job.teller import JobTeller
from octa_provider.remote.target import check_key, ssh_key
from octa_provider.rental.leaving import Leaving
from octa_provider.rental.machine_wait import MACHINE_POLL_S
from octa_provider.rental.rental import Rental

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.remote.transfer import OnTransfer
    from octa_provider.render.progress import ProgressTracker
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals

__all__ = ["Jobs"]


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
        wait_for_machine_s: float = 0.0,
        machine_poll_s: float = MACHINE_POLL_S,
        on_event: OnEvent | None = None,
        tracker: ProgressTracker | None = None,
    ) -> JobResult:
        """Rent, run to completion, collect, and stop on every way out.

        Args:
            spec: the job.
            key: the rental key: who runs the same key carries on with the same machine and the same running command.
            private_key: for SSH: the text of a private key or the path of its file; else the file that the environment
                variable `OCTA_SSH_KEY_FILE` names, else the agent and the default files.
            log_path: a file that gets the command's output; refused before anything is rented if it can't be written.
            on_line: called with each line of the command's output, control characters neutralised. What it raises is
                logged once and does not end the job: `is_cancelled` does that.
            on_unfinished: called, as `on_line`, with the states of a line that is drawn anew, as a progress bar, while
                it has not ended: for `ProgressTracker.feed_unfinished`. The line comes once, as it stands at its end.
            on_state: called with the state whenever it has changed, to write it down.
            earlier: what an earlier try wrote down, so that no line comes again; without it the key alone finds what
                runs, and its output comes from the start.
            is_cancelled: asked between two looks, and while files move; when it says yes the session is stopped.
            poll_s: seconds between two looks.
            on_transfer: called now and then with how far the files are that move; what it raises is logged once.
            wait_for_machine_s: seconds to wait for a machine when none fits, or all that fit refuse; 0 fails at once.
            machine_poll_s: seconds between two looks while a machine is waited for, at least.
            on_event: called with each thing that happens, a `JobEvent`, one after the other in this thread; a command
                over SSH is heard for it as for `on_line`. The job waits for it. What it raises is logged once, with
                its traceback, and does not end the job; KeyboardInterrupt and SystemExit do, with the machine stopped.
            tracker: tells the events from the lines how far the job is; what many tools print when left out.

        Returns:
            How it ended; a command that failed is a result, not an error.

        Raises:
            OctaNoMachineError, OctaBudgetError: nothing could be rented.
            OctaCancelledError: `is_cancelled` said yes; nothing of it runs any more.
            OctaStopError: the session could not be stopped in time, and may still bill.
        """
        if spec.over_ssh:
            # What a wrong key or a missing library would fail for is known before any money is spent.
            check_key(ssh_key(private_key))
        if log_path is not None:
            check_log_place(log_path)
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
                wait_for_machine_s=wait_for_machine_s,
                machine_poll_s=machine_poll_s,
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
            told=self._teller(on_event, tracker),
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
        on_event: OnEvent | None = None,
        tracker: ProgressTracker | None = None,
    ) -> JobResult:
        """The rest of `run` for a job that has been started: nothing is started anew, but for its `start_attempts`.

        Args:
            state: from `start`, or how far the job was when somebody last looked.
            spec: the job.
            private_key, log_path, on_line, on_unfinished, on_state, is_cancelled, poll_s, on_transfer, tracker: as in
                `run`.
            on_event: as in `run`; `started` is told of the machine that the job has.

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
            told=self._teller(on_event, tracker),
        )

    def _teller(self, on_event: OnEvent | None, tracker: ProgressTracker | None) -> JobTeller | None:
        return None if on_event is None else JobTeller(on_event, self._rentals.clock, tracker)

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
        wait_for_machine_s: float = 0.0,
        machine_poll_s: float = MACHINE_POLL_S,
        on_waiting: Callable[[str], object] | None = None,
        leaving: Leaving | None = None,
    ) -> JobState:
        """Rent a machine for the job, or adopt the one that the key already has. Does not wait for it.

        Args:
            spec: the job.
            key: the rental key.
            earlier: what an earlier try of this key wrote down, if anything: when its session still runs, its place in
                the log, its deadlines and the host key that it pinned are kept.
            is_cancelled, on_started, wait_for_machine_s, machine_poll_s, on_waiting, leaving: as in `Rentals.start`.
            private_key: as in `run`; one that can't be read is refused before anything is rented.

        Raises:
            OctaConfigError: an input is missing or can't be read, an output can't be written, the private key can't be
                read, or the rental key belongs to a session that is no job.
            OctaError: as `Rentals.start`.
        """
        if earlier is not None and earlier.key == self._rentals.full_key(key):
            again = earlier.having(attempts=earlier.attempts + 1, start_attempts=spec.start_attempts)
            if again.may_start_elsewhere:
                # Whoever wrote that down may have died with its machine stopped, or with another one started.
                return self.start_elsewhere(
                    again,
                    spec,
                    private_key=private_key,
                    is_cancelled=is_cancelled,
                    on_started=on_started,
                    leaving=leaving,
                )
        return start_job(
            self._api,
            self._rentals,
            spec,
            key,
            earlier=earlier,
            is_cancelled=is_cancelled,
            on_started=on_started,
            private_key=private_key,
            wait_for_machine_s=wait_for_machine_s,
            machine_poll_s=machine_poll_s,
            on_waiting=on_waiting,
            leaving=leaving,
        )

    def poll(
        self,
        state: JobState,
        *,
        private_key: str | Path | None = None,
        on_line: OnLine | None = None,
        on_unfinished: OnLine | None = None,
        session: Session | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        reads_log: bool = True,
        on_end: Callable[[], object] | None = None,
    ) -> JobState:
        """Look once, and return how far the job has come. Outages change nothing.

        Args:
            state: from `start`, `begin` or the last `poll`.
            private_key, on_line, on_unfinished: as in `run`.
            session: the job's session as it was seen a moment ago, in a list for one; it is not asked for again.
            is_cancelled: asked while something arrives from the API; when it says yes, the look is cut short.
            reads_log: False leaves the API's log alone where the machine of a command over SSH can't be reached for its
                own, but for what it has printed last.
            on_end: called when a command over SSH has ended after this look, where the connection lives so long: in
                another thread, so it must be quick, and once at most. It is time for the next look then.

        Raises:
            OctaError: the API refused the key, or a session over its budget could not be stopped.
        """
        if state.ended:
            return state
        return JobPoll(self._api, state, private_key, on_line, is_cancelled, on_unfinished, reads_log, on_end).look(
            session
        )

    def begin(
        self,
        state: JobState,
        spec: JobSpec,
        *,
        private_key: str | Path | None = None,
        on_transfer: OnTransfer | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        on_end: Callable[[], object] | None = None,
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
            on_end: as in `poll`.

        Raises:
            OctaConfigError: an input is not there any more.
            OctaCancelledError: `is_cancelled` said yes; the session still runs.
        """
        return begin_job(
            self._rentals,
            state,
            spec,
            private_key=private_key,
            on_transfer=on_transfer,
            is_cancelled=is_cancelled,
            on_end=on_end,
        )

    def start_elsewhere(
        self,
        state: JobState,
        spec: JobSpec,
        *,
        private_key: str | Path | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        on_started: Callable[[Rental], object] | None = None,
        leaving: Leaving | None = None,
    ) -> JobState:
        """Stop a session that never came up, and start its job on another machine, when `state.may_start_elsewhere`.

        The one has been seen gone before the other is started: two never bill at once. Machines that were tried are
        not taken again, and what they have cost is taken off the cap. Nothing is waited for.

        Args:
            state: from `poll` or `begin`.
            spec: the job.
            private_key: as in `run`.
            is_cancelled, on_started, leaving: as in `Rentals.start`.

        Returns:
            The job on the other machine; as it was, and not to be started elsewhere any more, when there is none: its
            message says so.

        Raises:
            OctaStopError: it could not be stopped in time, and may still bill; nothing was started.
            OctaError: as `Rentals.start`.
        """
        if not state.may_start_elsewhere:
            return state
        return start_elsewhere(
            self._api,
            self._rentals,
            state,
            spec,
            private_key=private_key,
            is_cancelled=is_cancelled,
            on_started=on_started,
            leaving=leaving,
        )

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
        return collect_job(
            self._api,
            self._rentals,
            state,
            private_key=private_key,
            log_path=log_path,
            on_transfer=on_transfer,
            is_cancelled=is_cancelled,
        )

    def finish(
        self, state: JobState, *, log_path: str | os.PathLike[str] | None = None, stop: bool = True
    ) -> JobResult:
        """Stop the session for certain, and say what the job came to.

        That of a command that failed is kept where the job says so: see `JobSpec.keep_failed_s`.

        Args:
            state: from `collect`, or from the last `poll` when there is nothing to fetch.
            log_path: the file that `collect` was given.
            stop: False leaves the session running, and billing; the cost is then what it has come to so far.

        Raises:
            OctaStopError: the session could not be stopped in time, and may still bill.
        """
        return finish_job(self._api, self._rentals, state, log_path=log_path, stop=stop)
