"""A job that has been started, seen to its end: the rest of the core's `Jobs.run`, from a state on."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaCancelledError
from octa_provider.job_spec import JobPhase, JobResult, JobSpec, JobState
from octa_provider.stop_signals import stop_signals_raise

if TYPE_CHECKING:
    from octa_provider import OctaClient

__all__ = ["watch_job"]


def watch_job(
    client: OctaClient,
    state: JobState,
    spec: JobSpec,
    *,
    private_key: str | None = None,
    log_path: str | None = None,
    on_line: Callable[[str], object] | None = None,
    on_state: Callable[[JobState], object] = lambda state: None,
    is_cancelled: Callable[[], bool] = lambda: False,
    poll_s: float = 5.0,
) -> JobResult:
    """Follow a started job to its end, collect, and stop on every way out. Nothing is ever started anew.

    Args:
        client: the API.
        state: what `Jobs.start` returned.
        spec: the job.
        private_key, log_path, on_line, on_state, is_cancelled, poll_s: as in the core's `Jobs.run`.

    Raises:
        OctaCancelledError: `is_cancelled` said yes; the session was stopped.
        OctaStopError: the session could not be stopped in time, and may still bill.
    """
    jobs = client.jobs
    with stop_signals_raise() as hold:
        finished = False
        try:
            while not state.ended:
                state = jobs.poll(state, private_key=private_key, on_line=on_line)
                if state.phase is JobPhase.READY:
                    state = jobs.begin(state, spec, private_key=private_key)
                on_state(state)
                if state.ended:
                    break
                _pause(client, poll_s * random.uniform(0.9, 1.1), is_cancelled)
                if is_cancelled():
                    raise OctaCancelledError(f"the job {state.key} was cancelled; its session was stopped")
            state = jobs.collect(state, private_key=private_key, log_path=log_path)
            on_state(state)
            with hold():
                result = jobs.finish(state, log_path=log_path)
                finished = True
            return result
        finally:
            if not finished:
                with hold():
                    client.rentals.restore(state.rental).stop()


def _pause(client: OctaClient, seconds: float, is_cancelled: Callable[[], bool]) -> None:
    """Sleep, but notice within a second that it is over: Prefect gives a run that is cancelled 30 s."""
    until = client.clock.monotonic() + seconds
    while (left := until - client.clock.monotonic()) > 0 and not is_cancelled():
        client.clock.sleep(min(left, 1.0))
