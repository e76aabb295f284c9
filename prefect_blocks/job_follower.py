"""Following a job that was triggered, from its start on and whether anybody waits for it or not."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaCancelledError, OctaError
from octa_provider.job.result import JobResult
from octa_provider.job.state import JobState
from octa_provider.rental.rental import Rental
from octa_provider.rental.terms import Bill
from octa_provider.text.loggers import plain_logger
from prefect_blocks.at_exit import PROCESS_ENDS, end_with_process, note_ended
from prefect_blocks.events import emit, own_bill

if TYPE_CHECKING:
    from octa_provider import JobEvent, OctaClient
    from octa_provider.job.events import OnEvent
    from octa_provider.job.spec import JobSpec
    from octa_provider.render.progress import ProgressTracker
    from prefect_blocks.credentials import OctaCredentials
    from prefect_blocks.job_report import JobReport
    from prefect_blocks.lifetime import Lifetime

__all__ = ["JobFollower", "follower_of"]

log = plain_logger("prefect_blocks.job_follower")

_lock = threading.Lock()
_followers: dict[Hashable, JobFollower] = {}


class JobFollower:
    """A thread that sees one job to its end. The machine is stopped on every way out: also when nobody waits.

    Args:
        credentials: the account.
        spec: the job.
        state: the job as it was started.
        report: told of its lines and its end.
        lifetime: the job is ended with it.
        log_path: a local file that gets the command's output.
        poll_s: seconds between two looks.
        on_event: called with each thing that happens; None for nobody.
        tracker: tells the events how far the job is.

    Attributes:
        state: how far the job is.
        spec: the job.
        result: what it came to; None before, and where it was ended.
        error: why there is no result.
    """

    def __init__(
        self,
        credentials: OctaCredentials,
        spec: JobSpec,
        state: JobState,
        report: JobReport,
        lifetime: Lifetime,
        *,
        log_path: Path | None,
        poll_s: float,
        on_event: OnEvent | None,
        tracker: ProgressTracker,
    ) -> None:
        self.state = state
        self.result: JobResult | None = None
        self.error: BaseException | None = None
        self.spec = spec
        self._credentials = credentials
        self._report = report
        self._lifetime = lifetime
        self._log_path = log_path
        self._poll_s = poll_s
        self._on_event = on_event
        self._tracker = tracker
        self._why = ""
        self._is_to_end = False
        self._has_ended = threading.Event()
        self._urls: dict[int | str, str] = {}
        self._stopped: JobEvent | None = None

    def start(self, name: Hashable) -> None:
        """Begin to follow, in a thread.

        Args:
            name: the account and the rental key, by which the next try in this process finds it.
        """
        with _lock:
            _followers[name] = self
        run = copy_context().run
        threading.Thread(target=run, args=(self._follow, name), name="octa-job", daemon=True).start()
        end_with_process(self)

    def carry_on(self, lifetime: Lifetime, on_event: OnEvent | None) -> bool:
        """Follow it for the next try too.

        Args:
            lifetime: that try's; the job is ended with it.
            on_event: that try's, which is told from now on.

        Returns:
            Whether it goes on: False when it is being ended, or has ended.
        """
        self._lifetime = lifetime
        self._on_event = on_event
        return not (self._is_to_end or self.ended)

    @property
    def ended(self) -> bool:
        """Whether the job has ended and its machine is stopped, as far as it could be."""
        return self._has_ended.is_set()

    def end(self, why: str) -> None:
        """Have the machine stopped; returns at once, and is safe in a signal's handler.

        Args:
            why: in words, for the run's log.
        """
        self._why = self._why or why
        self._is_to_end = True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the job has ended and its machine is stopped.

        Args:
            seconds: to wait at most; None waits for its end.

        Returns:
            Whether it has ended.
        """
        return self._has_ended.wait(seconds)

    # -- in the thread -------------------------------------------------------------------------------------------

    def _must_end(self) -> bool:
        if not self._is_to_end and self._lifetime.is_over():
            self.end("the run that triggered it is over")
        return self._is_to_end

    def _follow(self, name: Hashable) -> None:
        try:
            with self._credentials.get_client() as client:
                self._see_to_the_end(client)
        except BaseException as error:  # noqa: BLE001 - it is the waiter's, and raised there
            self.error = error
            self._tell_of(error)
        finally:
            with _lock:
                if _followers.get(name) is self:
                    del _followers[name]
            note_ended(self)
            self._has_ended.set()

    def _see_to_the_end(self, client: OctaClient) -> None:
        rental = client.rentals.restore(self.state.rental)

        def remember(state: JobState) -> None:
            nonlocal rental
            before, self.state = self.state, state
            if state.rental.uuid != before.rental.uuid:
                left, gone = next(one for one in state.tried if one.uuid == before.rental.uuid), rental
                rental = client.rentals.restore(state.rental)
                bill = Bill(left.uuid, left.cost_wei, left.cost_usd, left.duration_s, None)
                emit("stopped", gone, bill=bill, reason=left.message, name=self._report.about)
                emit("started", rental, name=self._report.about)
                self._report.warn(
                    f"Session {gone.uuid} never came up, and was stopped ({left.message}): trying session "
                    f"{rental.uuid} on node {rental.node_id}"
                )
            if state.is_up and not before.is_up:
                emit("ready", rental, name=self._report.about)
                self._remember_urls(rental)

        self.result = client.jobs.watch(
            self.state,
            self.spec,
            private_key=self._credentials.private_key,
            log_path=self._log_path,
            on_line=self._report.line,
            on_unfinished=self._report.unfinished,
            on_state=remember,
            is_cancelled=self._must_end,
            poll_s=self._poll_s,
            on_event=self._tell,
            tracker=self._tracker,
        )
        emit("ended", rental, result=self.result, name=self._report.about)
        if self.result.kept_until is None:
            emit("stopped", rental, result=self.result, bill=own_bill(self.result), name=self._report.about)
        self._report.ended(self.result, self._urls, self.state.rental.labels)

    def _tell(self, event: JobEvent) -> None:
        if event.kind == "stopped":
            self._stopped = event
        if self._on_event is not None:
            self._on_event(event)

    def _tell_of(self, error: BaseException) -> None:
        uuid = self.state.rental.uuid
        if not isinstance(error, OctaCancelledError):
            said = f"Following session {uuid} ended: {type(error).__name__}: {error}"
        else:
            said = f"Session {uuid} was stopped, and its command with it: {self._why}"
        if self._why == PROCESS_ENDS:
            # What sends events and logs to Prefect has ended before.
            log.warning(said)
            return
        self._report.warn(said)
        gone = self._stopped
        if gone is None or gone.uuid != uuid:
            # It was not seen gone: what it comes to is told by who stops it.
            return
        bill = Bill(uuid, gone.cost_wei, gone.cost_usd, gone.duration_s, None)
        reason = self._why or gone.reason
        emit("stopped", Rental.of(self.state.rental, None), bill=bill, reason=reason, name=self._report.about)
        self._report.cut_short(bill, self.state)

    def _remember_urls(self, rental: Rental) -> None:
        try:
            session = rental.info()
        except OctaError as error:
            # Only what is nice to have.
            self._report.say(f"Where session {rental.uuid} answers can't be read: {error}")
            return
        self._urls = dict(session.urls)
        for port, url in self._urls.items():
            self._report.say(f"Port {port} answers at {url}")
        for port in self.spec.ports:
            if (outside := session.ports.get(port)) is not None:
                self._report.say(f"Port {port} answers at {session.public_ip or 'the machine'}:{outside}")


def follower_of(name: Hashable) -> JobFollower | None:
    """Who follows a job in this process.

    Args:
        name: its account and rental key, as `JobFollower.start` was given them.

    Returns:
        The follower; None where nobody does.
    """
    with _lock:
        return _followers.get(name)
