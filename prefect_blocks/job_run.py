"""`OctaJobRun`: a job that has been triggered, to wait for, to stop, and to ask what it came to."""

from __future__ import annotations

import copy
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from prefect.blocks.abstract import JobRun

from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.job.result import JobResult
from octa_provider.job.state import JobState
from octa_provider.rental.clean_up import cleaned_up_by
from octa_provider.text.stays_here import stays_here
from prefect_blocks.at_exit import restore_signals
from prefect_blocks.awaitable import awaitable_too
from prefect_blocks.in_thread import cancellation, run_in_thread
from prefect_blocks.job_follower import JobFollower

if TYPE_CHECKING:
    from prefect_blocks.credentials import OctaCredentials

__all__ = ["JobFailedError", "OctaJobRun"]

#: A wait looks up so often whether its run is being ended.
SLICE_S = 1.0


class JobFailedError(OctaError):
    """The job ended, and not as a success.

    Args:
        result: what it came to.

    Attributes:
        result: what it came to.
    """

    def __init__(self, result: JobResult) -> None:
        super().__init__(f"{result.outcome.value}: {result.message}")
        self.result = result

    def __reduce__(self) -> tuple[type[JobFailedError], tuple[JobResult], dict[str, Any]]:
        # Process pools, Dask and Ray send errors between processes.
        return type(self), (self.result,), vars(self)


class OctaJobRun(JobRun[JobResult]):
    """A job that has been started, and is followed to its end in a thread of its own.

    Args:
        credentials: the account that pays for it.
        follower: who follows it.
    """

    def __init__(self, credentials: OctaCredentials, follower: JobFollower) -> None:
        self._credentials = credentials
        self._follower = follower

    def __reduce__(self) -> tuple[object, ...]:
        return stays_here("a job's run stays where it was triggered, so hand its uuid over")

    def __await__(self) -> Generator[Any, Any, OctaJobRun]:
        """The run itself, so that `await job.trigger()` is as good as `job.trigger()`."""

        async def itself() -> OctaJobRun:
            return self

        return itself().__await__()

    @property
    def state(self) -> JobState:
        """How far it is; a JSON value by `to_dict`."""
        return self._follower.state

    @property
    def uuid(self) -> str:
        """The session."""
        return str(self.state.rental.uuid)

    @awaitable_too
    def wait_for_completion(self, *, raise_on_failure: bool = True) -> None:  # type: ignore[override]
        """Wait for the job's end; its machine is stopped then, and on every other way out of this.

        Args:
            raise_on_failure: False leaves it to `fetch_result` to say how the job ended.

        Raises:
            JobFailedError: it was no success; the error has the result. Not with `raise_on_failure=False`.
            OctaCancelledError: the run is being ended, or the job was stopped; so was the machine.
            OctaStopError: the machine could not be stopped in time, and may still bill.
        """
        is_cancelled = cancellation()

        def clean_up(error: BaseException | None) -> None:
            if error is not None:
                self._follower.end("what waited for it was ended")
                self._follower.wait()

        with cleaned_up_by(clean_up):
            while not self._follower.wait(SLICE_S):
                if is_cancelled():
                    self._follower.end("the run that waits for it is being ended")
        restore_signals()
        result = self._refuse_without_result()
        if raise_on_failure:
            _refuse_failure(result)

    async def await_for_completion(self, *, raise_on_failure: bool = True) -> None:
        """As `wait_for_completion`, for coroutines; when the coroutine is cancelled, the machine is stopped.

        Args:
            raise_on_failure: False leaves it to `fetch_result` to say how the job ended.

        Raises:
            JobFailedError: it was no success; the error has the result. Not with `raise_on_failure=False`.
            OctaCancelledError: the run is being ended, or the job was stopped; so was the machine.
            OctaStopError: the machine could not be stopped in time, and may still bill.
        """
        await run_in_thread(self.wait_for_completion, raise_on_failure=raise_on_failure)

    @awaitable_too
    def fetch_result(self) -> JobResult:  # type: ignore[override]
        """What the job came to.

        Returns:
            The core's result, always of a success.

        Raises:
            JobFailedError: it was no success; the error has the result.
            OctaConfigError: it has not ended yet.
            OctaCancelledError: it was stopped before its end.
        """
        return self._result()

    async def afetch_result(self) -> JobResult:
        """As `fetch_result`, for coroutines; it does not wait.

        Raises:
            JobFailedError: it was no success; the error has the result.
            OctaConfigError: it has not ended yet.
            OctaCancelledError: it was stopped before its end.
        """
        return self._result()

    @awaitable_too
    def stop(self) -> None:
        """Stop the machine without waiting for the command. Safe to repeat.

        Raises:
            OctaStopError: it could not be stopped in time, and may still bill.
        """
        self._follower.end("it was told to stop")
        self._follower.wait()
        with self._credentials.get_client() as client:
            client.rentals.restore(self.state.rental).stop()

    async def astop(self) -> None:
        """As `stop`, for coroutines.

        Raises:
            OctaStopError: it could not be stopped in time, and may still bill.
        """
        await run_in_thread(self.stop)

    def _result(self) -> JobResult:
        if not self._follower.wait(0):
            raise OctaConfigError("the job has not ended yet: call wait_for_completion() first")
        result = self._refuse_without_result()
        _refuse_failure(result)
        return result

    def _refuse_without_result(self) -> JobResult:
        if self._follower.result is not None:
            return self._follower.result
        error = self._follower.error
        # A copy: what several threads raise at once gathers all their tracebacks.
        raise OctaError("the job has no result") if error is None else copy.copy(error)


def _refuse_failure(result: JobResult) -> None:
    if not result.succeeded:
        raise JobFailedError(result)
