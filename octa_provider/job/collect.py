"""Collecting what a job has made, before its machine goes: outputs and log, through outages and up to its cap."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import (
    OctaBudgetError,
    OctaCancelledError,
    OctaError,
    OctaLocalFileError,
    OctaSshError,
)
from octa_provider.job.log import save_job_log
from octa_provider.job.outputs import OutputFetch
from octa_provider.job.result import JobOutcome
from octa_provider.job.state import JobPhase, JobState
from octa_provider.remote.target import ssh_key
from octa_provider.rental.caps import refuse_over_budget, spends_too_much
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import is_transient
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.remote.transfer import OnTransfer
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals

__all__ = ["collect_job"]

log = plain_logger("octa_provider.job.collect")

#: While nothing arrives, fetching is tried again for so long; the machine bills meanwhile.
COLLECT_S = 600.0
KEPT = ": make room; the results are kept on the machine, which bills, for {:.0f} s"


def collect_job(
    api: RentalApi,
    rentals: Rentals,
    state: JobState,
    *,
    private_key: str | Path | None,
    log_path: str | os.PathLike[str] | None,
    on_transfer: OnTransfer | None,
    is_cancelled: Callable[[], bool],
) -> JobState:
    """Fetch the outputs and the log of a job that has ended: see `Jobs.collect`.

    Args:
        api: the API.
        rentals: what the job's rental is taken up from.
        state, private_key, log_path, on_transfer, is_cancelled: as in `Jobs.collect`.

    Raises:
        OctaCancelledError: `is_cancelled` said yes; the session still runs.
    """
    if state.phase is not JobPhase.EXITED:
        return state
    if not state.over_ssh or state.exit_code is None:
        if log_path is not None:
            _save_log(api, state, log_path, is_cancelled)
        return state.having(phase=JobPhase.COLLECTED)
    rental, errors = rentals.restore(state.rental), list[str]()
    enough: Callable[[], bool] = bool
    fetch = OutputFetch(
        state,
        ssh_key(private_key),
        log_path,
        on_progress=on_transfer,
        is_cancelled=lambda: is_cancelled() or enough(),
    )
    deadline = Deadline(api.clock, COLLECT_S)
    while True:
        before = fetch.files
        try:
            session = rental.info()
            refuse_over_budget(api, rental, session)
            enough = spends_too_much(rental, session, api.clock)
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
                deadline = Deadline(api.clock, COLLECT_S)
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
        return state.having(phase=JobPhase.COLLECTED, collected=files, value=fetch.value)
    outcome = JobOutcome.FAILED if state.outcome is JobOutcome.SUCCEEDED else state.outcome
    message = " ".join(text for text in (state.message, "; ".join(errors)) if text)
    return state.having(phase=JobPhase.COLLECTED, outcome=outcome, message=message, collected=files, value=fetch.value)


def _save_log(api: Api, state: JobState, log_path: str | os.PathLike[str], is_cancelled: Callable[[], bool]) -> None:
    try:
        save_job_log(api, state, log_path, is_cancelled)
    except OctaError as error:
        if not is_transient(error):
            raise
        # The outcome does not hang on it, and the machine bills while we would try again.
        log.warning("the log of %s can't be read, and is not saved: %s", state.key, error)
    except OSError as error:
        log.warning("the log of %s can't be written: %s", state.key, error)
