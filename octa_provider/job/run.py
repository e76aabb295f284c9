"""A job in one process, from its start to the confirmed stop: what `Jobs.run` and `Jobs.watch` have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from octa_provider.errors import OctaCancelledError, OctaError
from octa_provider.job.line_listener import LineListener, OnLine
from octa_provider.job.listener import Listener
from octa_provider.job.look_pace import LookPace
from octa_provider.job.next_step import Begin, Collect, Finish, StartElsewhere, Step, Wait, next_step
from octa_provider.job.result import JobResult
from octa_provider.job.spec import JobSpec
from octa_provider.job.state import JobState
from octa_provider.rental.clean_up import cleaned_up_by
from octa_provider.timing.limits import checked_pause
from octa_provider.watch.watcher import watcher_for

if TYPE_CHECKING:
    from octa_provider.job.teller import JobTeller
    from octa_provider.models import Session
    from octa_provider.remote.transfer import OnTransfer
    from octa_provider.rental.rental import Rental
    from octa_provider.rental.rentals import Rentals
    from octa_provider.rental.terms import Bill

__all__ = ["Pace", "see_to_the_end"]


class JobSteps(Protocol):
    """What `Jobs` does of a job, step by step."""

    def poll(
        self,
        state: JobState,
        *,
        private_key: str | Path | None,
        on_line: OnLine | None,
        on_unfinished: OnLine | None,
        session: Session | None,
        is_cancelled: Callable[[], bool],
        reads_log: bool,
        on_end: Callable[[], object],
    ) -> JobState:
        """Look once.

        Args:
            state, private_key, on_line, on_unfinished, session, is_cancelled, reads_log, on_end: as in `Jobs.poll`.
        """

    def begin(
        self,
        state: JobState,
        spec: JobSpec,
        *,
        private_key: str | Path | None,
        on_transfer: OnTransfer | None,
        is_cancelled: Callable[[], bool],
        on_end: Callable[[], object],
    ) -> JobState:
        """Send the inputs and start the command.

        Args:
            state, spec, private_key, on_transfer, is_cancelled, on_end: as in `Jobs.begin`.
        """

    def collect(
        self,
        state: JobState,
        *,
        private_key: str | Path | None,
        log_path: str | os.PathLike[str] | None,
        on_transfer: OnTransfer | None,
        is_cancelled: Callable[[], bool],
    ) -> JobState:
        """Fetch what the command has made.

        Args:
            state, private_key, log_path, on_transfer, is_cancelled: as in `Jobs.collect`.
        """

    def start_elsewhere(
        self,
        state: JobState,
        spec: JobSpec,
        *,
        private_key: str | Path | None,
        is_cancelled: Callable[[], bool],
        on_started: Callable[[Rental], object],
    ) -> JobState:
        """Stop the machine, which never came up, and start on another one.

        Args:
            state, spec, private_key, is_cancelled, on_started: as in `Jobs.start_elsewhere`.
        """

    def finish(self, state: JobState, *, log_path: str | os.PathLike[str] | None) -> JobResult:
        """Stop, and say what it came to.

        Args:
            state, log_path: as in `Jobs.finish`.
        """


class Pace(Protocol):
    """Tells when a job is worth a look, as `LookPace` does."""

    reads_log: bool

    def wait_until_due(self, state: JobState, is_cancelled: Callable[[], bool]) -> Session | None:
        """Wait until then.

        Args:
            state, is_cancelled: as in `LookPace.wait_until_due`.
        """

    def hurry(self) -> None:
        """Look soon, as `LookPace.hurry`."""


def see_to_the_end(
    jobs: JobSteps,
    rentals: Rentals,
    start: Callable[[Callable[[Rental], object]], JobState],
    spec: JobSpec,
    key: str,
    *,
    private_key: str | Path | None,
    log_path: str | os.PathLike[str] | None,
    on_line: OnLine | None,
    on_unfinished: OnLine | None,
    on_state: Callable[[JobState], object] | None,
    is_cancelled: Callable[[], bool],
    poll_s: float,
    on_transfer: OnTransfer | None = None,
    told: JobTeller | None = None,
    pace: Pace | None = None,
) -> JobResult:
    """Start a job, or take one that was started, follow it, collect, and stop on every way out.

    Args:
        jobs: the steps.
        rentals: for the stop when something goes wrong.
        start: what starts it, or returns how far it is; it is handed what to tell the rental to, once there is one.
        spec, key, private_key, log_path, on_line, on_unfinished, on_state, is_cancelled, poll_s, on_transfer: as in
            `Jobs.run`.
        told: tells what happens; None for nobody.
        pace: tells when the job is worth a look; all jobs of an account in this process share it when left out.
    """
    poll_s = checked_pause("poll_s", poll_s)
    # One for all looks, so that it tells once.
    on_line = LineListener.of(on_line)
    on_unfinished = LineListener.of(on_unfinished, "on_unfinished")
    on_transfer = None if on_transfer is None else Listener(on_transfer, "on_transfer")
    if told is not None:
        on_line, on_unfinished = told.hearing(on_line), told.hearing_unfinished(on_unfinished)
    state: JobState | None = None

    def tell(now: JobState, before: JobState | None = None) -> JobState:
        if on_state is not None and now != before:
            on_state(now)
        if told is not None:
            told.saw(now)
        return now

    rented: list[Rental] = []
    results: list[JobResult] = []
    bills: list[Bill] = []

    def clean_up(error: BaseException | None) -> None:
        if state is None:
            # A start that failed has cleaned up after itself; this is for a signal right after it.
            if rented and error is not None and not isinstance(error, OctaError):
                rented[-1].stop_after(error)
        elif error is None:
            # Who has cancelled it meanwhile wants nothing kept.
            ending = state.having(keep_failed_s=None) if state.keep_failed_s is not None and is_cancelled() else state
            results.append(jobs.finish(ending, log_path=log_path))
        else:
            # The last that was started, which the state may not tell yet.
            bill = (rented[-1] if rented else rentals.restore(state.rental)).stop_after(error)
            if bill is not None:
                bills.append(bill)

    with (
        _telling_the_stop(told, results, bills),
        cleaned_up_by(clean_up),
        _pace_of(rentals, poll_s) if pace is None else nullcontext(pace) as paced,
    ):
        is_first = True
        state = start(rented.append)
        tell(state)
        # Much may have happened since it was written down: it is looked at first, and at once.
        now = rentals.clock.steady_time()
        step: Step = next_step(state, now=now, may_start_elsewhere=True) if state.ended else Wait(now)
        while not isinstance(step, Finish):
            if isinstance(step, Wait):
                session = None if is_first else paced.wait_until_due(state, is_cancelled)
                is_first = False
                if is_cancelled():
                    raise OctaCancelledError(f"the job {key} was cancelled; its session was stopped")
                state = tell(
                    jobs.poll(
                        state,
                        private_key=private_key,
                        on_line=on_line,
                        on_unfinished=on_unfinished,
                        session=session,
                        is_cancelled=is_cancelled,
                        reads_log=paced.reads_log,
                        on_end=paced.hurry,
                    ),
                    state,
                )
            elif isinstance(step, Begin):
                # Its phase was told before: sending the inputs may take a while.
                state = tell(
                    jobs.begin(
                        state,
                        spec,
                        private_key=private_key,
                        on_transfer=on_transfer,
                        is_cancelled=is_cancelled,
                        on_end=paced.hurry,
                    ),
                    state,
                )
            elif isinstance(step, StartElsewhere):
                state = tell(
                    jobs.start_elsewhere(
                        state, spec, private_key=private_key, is_cancelled=is_cancelled, on_started=rented.append
                    ),
                    state,
                )
            else:
                assert isinstance(step, Collect), "nothing is begun anew here"
                state = tell(
                    jobs.collect(
                        state,
                        private_key=private_key,
                        log_path=log_path,
                        on_transfer=on_transfer,
                        is_cancelled=is_cancelled,
                    ),
                    state,
                )
            step = next_step(
                state,
                now=rentals.clock.steady_time(),
                is_begin_tried=isinstance(step, Begin),
                may_start_elsewhere=True,
            )
    return results[0]


@contextmanager
def _telling_the_stop(told: JobTeller | None, results: list[JobResult], bills: list[Bill]) -> Iterator[None]:
    """Behind the stop: nothing bills any more while it is told, and a signal may end whoever is told."""
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        if told is not None and results and results[0].kept_until is None:
            told.stopped(results[0].cost_wei, results[0].cost_usd, results[0].duration_s, results[0].tried)
        elif told is not None and error is not None and bills:
            told.cut_short(str(error) or type(error).__name__, bills)


@contextmanager
def _pace_of(rentals: Rentals, poll_s: float) -> Iterator[Pace]:
    """The pace of one more job of an account: one list call for all of them, and turns to read their logs."""
    with watcher_for(rentals.api, poll_s) as watcher:
        yield LookPace(watcher, rentals.clock, poll_s)
